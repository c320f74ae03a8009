"""From nothing to search metrics: draw, distil, test, print a table.

What `make quickstart` runs. From a detector that was trained on other people,
a ResNet-18 learns against the frozen lookup table of a stronger ResNet-50
(KD_reid). Both are in the repository. It is shown beside the recorded results
of the same network, start and budget without a teacher.
Every step is a command that you can run yourself; it is printed first. A
second run resumes: finished data are kept and training goes on from its
newest checkpoint.
"""

import argparse
import json
import os
import shlex
import sys
import time
from pathlib import Path

CONFIG = 'configs/kd/oim_r18_oim50_quick.py'
#: Results of the same student without a teacher, with their commands.
RECORDED = 'configs/kd/oim_r18_quick_recorded.json'
DATA = 'data/synth-tiny'
#: The gallery that the table shows.
PROTOCOL = 'G50'
ROOT = Path(__file__).parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--work-dir',
        default='work_dirs/quickstart',
        help='logs, checkpoints, results and a picture [%(default)s]',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='handed to tools/train.py',
    )
    return parser.parse_args()


def training(work: Path) -> tuple[str, ...]:
    """The command that trains, with one process or two.

    Two processes of one thread are as fast as two threads and, unlike them,
    keep their pace beside other programs (docs/results.md, "Threads").
    """
    command = ('tools/train.py', CONFIG, '--work-dir', str(work), '--resume')
    options = ('train_cfg.val_begin=1000',)  # the test is a step of its own
    if len(os.sched_getaffinity(0)) > 1:
        processes = ('--standalone', '--nproc_per_node=2')
        command = ('tools/torchrun.py', *processes, *command)
        command += ('--launcher', 'pytorch')
        options += ('train_dataloader.batch_size=2',)
    return (*command, '--cfg-options', *options)


def step(title: str, *command: str, **environment: str) -> float:
    """Announce and run a command; returns the seconds it took.

    Raises:
        SystemExit: The command failed, or a signal stopped it; its own
            message stands above.
    """
    from mmps.experiments.children import CHILDREN, STOPPED

    print(f'\n[quickstart] {title}', flush=True)
    set_first = ''.join(f'{k}={v} ' for k, v in environment.items())
    print(f'$ {set_first}python {shlex.join(command)}', flush=True)
    start = time.time()
    with CHILDREN.handing_on_signals():
        code = CHILDREN.run(
            [sys.executable, *command], env={**os.environ, **environment}
        )
    if code in STOPPED:
        print(f'[quickstart] stopped by {STOPPED[code]}; again: it goes on')
        sys.exit(code)
    if code:
        sys.exit(f'[quickstart] "{title}" failed, see above')
    return time.time() - start


def main() -> None:
    args = parse_args()
    os.chdir(ROOT)
    work = Path(args.work_dir)
    out = {name: str(work / f'{name}.json') for name in ('before', 'after')}
    dump = str(work / 'features.npz')
    seconds = {}
    seconds['data'] = step(
        '1 of 5: draw scenes with people, in the CUHK-SYSU layout',
        'tools/make_synthetic.py',
        '--layout',
        'cuhk-sysu',
        '--size',
        'tiny',
        '--seed',
        '0',
        '--out',
        DATA,
    )
    seconds['test_untrained'] = step(
        '2 of 5: test the untrained network',
        'tools/test.py',
        CONFIG,
        'untrained',
        '--work-dir',
        str(work),
        '--out',
        out['before'],
    )
    seconds['training'] = step(
        '3 of 5: train it against the frozen table of its teacher',
        *training(work),
        *args.cfg_options,
        OMP_NUM_THREADS='1',  # of each process
    )
    checkpoint = (work / 'last_checkpoint').read_text().strip()
    seconds['test'] = step(
        '4 of 5: test it, on people who were never in training',
        'tools/test.py',
        CONFIG,
        checkpoint,
        '--work-dir',
        str(work),
        '--out',
        out['after'],
        '--dump',
        dump,
    )
    picture = str(work / 'ranking.png')
    seconds['picture'] = step(
        '5 of 5: draw what was found',
        'tools/show_ranking.py',
        dump,
        f'{DATA}/Image/SSM',
        '--protocol',
        PROTOCOL,
        '--out',
        picture,
    )
    results = {
        name: json.loads(Path(path).read_text()) for name, path in out.items()
    }
    report(results, work / 'result.json', seconds)
    print(f'Picture: {picture}')


def report(results: dict, path: Path, seconds: dict[str, float]) -> None:
    """Write result.json and print the table."""
    from rich.console import Console
    from rich.table import Table

    recorded = json.loads((ROOT / RECORDED).read_text())
    figures = {
        **{f: f'{PROTOCOL}/{f}' for f in ('mAP', 'top-1', 'top-5', 'top-10')},
        'detection AP': 'det/AP',
        'recall': 'det/recall',
    }
    table = Table(title=f'search in galleries of {PROTOCOL[1:]}, in percent')
    table.add_column('network')
    for figure in figures:
        table.add_column(figure, justify='right')

    def row(label: str, result: dict, **style) -> None:
        cells = (f'{100 * result[key]:.1f}' for key in figures.values())
        table.add_row(label, *cells, **style)

    row('untrained', results['before'], end_section=True)
    for run in recorded:
        label = f'no teacher, lambda_oim {run["lambda_oim"]} (recorded)'
        row(label, run['result'], end_section=run is recorded[-1])
    row('distilled, lambda_oim 0.3 (this run)', results['after'])
    path.write_text(
        json.dumps(
            dict(
                config=CONFIG,
                seconds={k: round(v, 1) for k, v in seconds.items()},
                untrained=results['before'],
                trained=results['after'],
            ),
            indent=2,
        )
        + '\n'
    )
    after = results['after']
    print()
    Console(width=max(100, Console().width)).print(table)
    print(
        f'{after[f"{PROTOCOL}/queries"]} queries; {after["det/gt"]} people in '
        f'the test images, {after["det/found"]} found. All protocols: {path}\n'
        'The recorded runs again:'
    )
    for run in recorded:
        print(f'  {run["command"]}')


if __name__ == '__main__':
    main()
