"""Search and detection against the weight lambda_oim, as in Fig. 1 of
Munjal et al., 2019: train, test, draw.

mmps sweep-lambda --work-dir work_dirs/sweep --protocol G100 \\
    --curve "no KD" oim_r18_w0.1_synth oim_r18_w0.3_synth oim_r18_synth \\
    --curve KD_reid oim_r18_oim50_synth@0.1 oim_r18_oim50_synth@1.0 \\
    --detector det_r18_synth --out sweep.png

CONFIG@WEIGHT is a config at another weight than its own. Runs are those of
`mmps compare`: with the same --work-dir, finished ones are not repeated.
"""

import argparse
from pathlib import Path

from .arguments import add_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument(
        '--curve',
        nargs='+',
        action='append',
        required=True,
        metavar=('LABEL', 'CONFIG[@WEIGHT]'),
        help='a label and at least one config',
    )
    parser.add_argument('--detector', metavar='CONFIG', help='drawn as a line')
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[0], help='[0]'
    )
    parser.add_argument(
        '--work-dir', type=Path, required=True, help='a folder for each run'
    )
    parser.add_argument('--protocol', required=True, help='such as G100')
    parser.add_argument('--out', type=Path, required=True, help='.png or .pdf')
    add_runs(parser)


def run(args: argparse.Namespace) -> None:
    """Run what has not been run, and draw."""
    import statistics

    from mmps.configs import find_config
    from mmps.errors import InputError
    from mmps.experiments.compare import Runner
    from mmps.experiments.sweep import Point, point_of, sweep
    from mmps.visualization import save_weight_sweep

    curves = {}
    for label, *configs in args.curve:
        if not configs:
            raise InputError(f'--curve {label}', 'has no config')
        curves[label] = [point_of(config) for config in configs]
    if args.detector:
        find_config(args.detector)  # before the first run of hours

    def show(label: str, point: Point, results: list[dict]) -> None:
        search, boxes = (
            statistics.mean(result[key] for result in results)
            for key in (f'{args.protocol}/mAP', 'det/AP')
        )
        print(
            f'{label}, lambda_oim {point.weight:g} ({point.config}): search '
            f'mAP {search:.4f}, detection AP {boxes:.4f}',
            flush=True,
        )

    runner = Runner(args.work_dir, args.cfg_options, args.amp)
    measured, alone = sweep(
        runner, curves, args.detector, args.seeds, args.jobs, show
    )
    save_weight_sweep(measured, alone, args.protocol, args.out)
    print(f'wrote {args.out}')
