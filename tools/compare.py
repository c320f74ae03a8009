"""Train and test several configs with several seeds; print mean and spread.

    python tools/compare.py configs/oim/oim_r18_tiny.py \\
        configs/oim/oim_r18_w0.1_tiny.py --seeds 0 1 2 --jobs 2 \\
        --work-dir work_dirs/compare --protocol G50

Every run has a folder of its own; finished runs are not repeated and
interrupted ones are resumed: Ctrl-C lets those that run save. The table is
Markdown, in percent: mean and sample standard deviation over the seeds.
"""

import argparse
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument('--protocol', required=True, help='such as G50')
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs at a time [%(default)s]'
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='for all runs, as in tools/train.py',
    )
    return parser.parse_args()


def run(
    config: str, seed: int, work: Path, options: list[str], amp: bool = False
) -> dict:
    """Train and test once, or read the result of an earlier time.

    Args:
        config: Path.
        seed: Of the run.
        work: Folder of the run.
        options: KEY=VALUE, as in tools/train.py.
        amp: Train in mixed precision.
    """
    from mmps.experiments.campaign import call

    result = work / 'result.json'
    options = [f'randomness.seed={seed}', *options]
    if not result.exists():
        # the test comes last, on its own
        train = ['train_cfg.val_begin=100000', *options]
        amp = ['--amp'] if amp else []
        call(
            'train.py',
            work,
            config,
            '--resume',
            *amp,
            '--cfg-options',
            *train,
        )
        checkpoint = (work / 'last_checkpoint').read_text().strip()
        call(
            'test.py',
            work,
            config,
            checkpoint,
            '--out',
            str(result),
            '--cfg-options',
            *options,
        )
    return json.loads(result.read_text())


def run_in(args: argparse.Namespace, config: str, seed: int) -> dict:
    """``run`` in the folder of this config and seed."""
    work = args.work_dir / f'{Path(config).stem}_seed{seed}'
    return run(config, seed, work, args.cfg_options, args.amp)


def table(results: dict[str, list[dict]], protocol: str) -> str:
    """Markdown: a line per config."""
    from mmps.experiments.tables import markdown, mean_and_deviation

    figures = {
        'search mAP': f'{protocol}/mAP',
        'top-1': f'{protocol}/top-1',
        'detection AP': 'det/AP',
        'recall': 'det/recall',
    }
    lines = [['config', 'runs', *figures]]
    for config, runs in results.items():
        cells = [mean_and_deviation(runs, key) for key in figures.values()]
        lines.append([config, str(len(runs)), *cells])
    return markdown(lines)


def main() -> None:
    args = parse_args()
    if args.jobs > 1:  # one core each, unless told otherwise
        os.environ.setdefault('OMP_NUM_THREADS', '1')
    tasks = [(config, seed) for seed in args.seeds for config in args.configs]
    results = {Path(config).stem: [] for config in args.configs}
    from mmps.experiments.children import CHILDREN

    with CHILDREN.handing_on_signals(), ThreadPoolExecutor(args.jobs) as pool:
        outcomes = pool.map(lambda task: run_in(args, *task), tasks)
        for number, ((config, seed), result) in enumerate(
            zip(tasks, outcomes, strict=True), 1
        ):
            results[Path(config).stem].append(result)
            print(
                f'[{number}/{len(tasks)}] {config} seed {seed}: '
                f'mAP {result.get(f"{args.protocol}/mAP", float("nan")):.4f}, '
                f'recall {result["det/recall"]:.4f}',
                flush=True,
            )
    print(table(results, args.protocol))


if __name__ == '__main__':
    main()
