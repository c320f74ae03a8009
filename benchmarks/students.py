"""What students cost and find: the curve of search mAP, time and size.

    OMP_NUM_THREADS=1 python tools/campaign.py benchmarks/campaigns/light.yml
    OMP_NUM_THREADS=1 python benchmarks/students.py \\
        --pictures data/synth-small/Image/SSM --out benchmarks/students.json \\
        --picture docs/images/students.png

Search mAP is that of the campaign, with all its seeds. The weights of seed 0
are exported in float32 and int8, the int8 network is tested on the protocols
of its config, and both are timed beside torch as benchmarks/export.py does
it: in turns, on one core, from pixels to embeddings. Weights that are not in
`--work` any more are trained again. `--draw` only draws the
picture again, from the numbers of `--out`.
"""

import argparse
import json
import statistics
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from export import measure, sizes

PLAN = Path(__file__).parent / 'campaigns' / 'light.yml'
#: As the contenders of benchmarks/export.py are called -> label.
RUNTIMES = {'torch': 'torch', 'ONNX fp32': 'ONNX', 'ONNX int8': 'ONNX, int8'}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--plan', type=Path, default=PLAN, help='[%(default)s]'
    )
    parser.add_argument(
        '--work', type=Path, help='of the campaign [work_dirs/NAME]'
    )
    parser.add_argument('--pictures', help='folder, to calibrate and to time')
    parser.add_argument('--protocol', default='G100', help='[%(default)s]')
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument(
        '--num', type=int, default=3, help='pictures, timed together'
    )
    parser.add_argument('--out', type=Path, required=True, help='JSON file')
    parser.add_argument('--picture', type=Path, help='of the curve')
    parser.add_argument('--draw', action='store_true', help='and no more')
    args = parser.parse_args(argv)
    if not (args.draw or args.pictures):
        parser.error('give --pictures, or --draw')
    return args


def main(argv=None):
    args = parse_args(argv)
    if not args.draw:
        found = {}
        for label, run in students(args).items():
            found[label] = student(run, args)
            args.out.write_text(json.dumps(found, indent=1) + '\n')
    found = json.loads(args.out.read_text())
    print(table(found, args.protocol))
    if args.picture is not None:
        draw(found, args.protocol, args.picture)


def students(args):
    """Label -> config, checkpoint of seed 0, figures of all seeds."""
    from mmps.experiments.campaign import Campaign, read_plan

    plan = read_plan(args.plan)
    name = args.plan.stem
    campaign = Campaign(
        plan,
        args.work or Path('work_dirs') / name,
        args.plan.with_suffix(''),
    )
    found = {}
    for label, run in next(iter(plan.tables.values())).items():
        results = [
            json.loads(file.read_text())['figures']
            for file in sorted(campaign.results.glob(f'{run}_seed*.json'))
        ]
        if not results:
            raise SystemExit(f'{run}: no results yet; run the campaign first')
        config = plan.runs[run].config
        found[label] = config, campaign.weights(run, 0), results
    return found


def student(run, args):
    """Figures, milliseconds and megabytes of a student."""
    config, weights, results = run
    folder = weights.parent / 'exported'
    if not (folder / 'int8').is_dir():
        command = ['-m', 'mmps', 'export', config, str(weights)]
        command += ['--out', str(folder), '--int8', args.pictures, '--measure']
        subprocess.run([sys.executable, *command], check=True)
    times = measure(
        Namespace(
            config=config,
            weights=str(weights),
            folder=folder,
            pictures=args.pictures,
            proposals=[proposals_of(config)],
            repeats=args.repeats,
            num=args.num,
            clock='cpu',
        )
    )
    (milliseconds,) = times.values()
    keys = (f'{args.protocol}/mAP', f'{args.protocol}/top-1', 'det/AP')
    return dict(
        figures=[{key: result[key] for key in keys} for result in results],
        int8={key: measured(folder / 'int8')[key] for key in keys},
        fp32={key: measured(folder)[key] for key in keys},
        milliseconds=milliseconds,
        megabytes=sizes(folder),
    )


def proposals_of(config):
    """That a picture has in the test."""
    from mmps.apis import load_config

    return load_config(config).model.test_cfg.rpn.max_per_img


def measured(folder):
    """What `mmps export --measure` wrote into an exported network."""
    from mmps.inference.onnx_network import OnnxNetwork

    return OnnxNetwork(folder, 'cpu').metadata.measured


def table(found, protocol):
    """Markdown: a line for each student and runtime."""
    head = ('student', 'on', f'{protocol} mAP', 'top-1', 'AP', 'ms', 'MB')
    lines = [head, ('---',) * len(head)]
    for label, one in found.items():
        for name, runtime in RUNTIMES.items():
            results = (
                one['figures']
                if name == 'torch'
                else [one['int8' if 'int8' in name else 'fp32']]
            )
            figures = [
                spread([result[key] for result in results])
                for key in (f'{protocol}/mAP', f'{protocol}/top-1', 'det/AP')
            ]
            size = one['megabytes'].get(name.removeprefix('ONNX '))
            lines.append(
                (
                    *(label, runtime, *figures),
                    f'{one["milliseconds"][name]:.0f}',
                    '-' if size is None else f'{size:.1f}',
                )
            )
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def spread(values):
    """Mean and standard deviation in percent."""
    mean = f'{100 * statistics.mean(values):.1f}'
    if len(values) == 1:
        return mean
    return f'{mean} +- {100 * statistics.stdev(values):.1f}'


def draw(found, protocol, path):
    """Two panels: search mAP against time, and against size."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    from matplotlib import ticker

    key = f'{protocol}/mAP'
    figure, panels = plt.subplots(
        1, 2, figsize=(9, 3.8), sharey=True, layout='tight'
    )
    for number, (label, one) in enumerate(found.items()):
        own = [100 * result[key] for result in one['figures']]
        mean = statistics.mean(own)
        lost = 100 * (one['int8'][key] - one['fp32'][key])
        heights = {'torch': mean, 'ONNX fp32': mean, 'ONNX int8': mean + lost}
        style = dict(color=f'C{number}', marker='os^'[number])
        times = one['milliseconds']
        panels[0].plot(
            [times[name] for name in heights],
            list(heights.values()),
            **(style | dict(marker=None, alpha=0.5)),
        )
        for name, fill in zip(heights, ('none', 'left', 'full'), strict=True):
            panels[0].errorbar(
                times[name],
                heights[name],
                yerr=[[mean - min(own)], [max(own) - mean]],
                fillstyle=fill,
                capsize=3,
                **style,
            )
        sizes_of = one['megabytes']
        panels[1].plot(
            [sizes_of['fp32'], sizes_of['int8']],
            [mean, mean + lost],
            label=label,
            **style,
        )
    panels[0].set(
        xscale='log',
        xlabel='milliseconds of one core for a picture: torch (empty),\n'
        'ONNX (half) and int8 (full)',
        ylabel=f'search mAP at {protocol}, percent',
    )
    panels[1].set(xscale='log', xlabel='megabytes: int8 (left) and float32')
    for panel in panels:
        panel.grid(alpha=0.3, which='both')
        panel.xaxis.set_minor_locator(ticker.LogLocator(subs=(2, 3, 5)))
        panel.xaxis.set_minor_formatter(ticker.ScalarFormatter())
        panel.xaxis.set_major_formatter(ticker.ScalarFormatter())
    panels[1].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == '__main__':
    sys.exit(main())
