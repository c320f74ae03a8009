"""Search and detection against the weight lambda_oim, as in Fig. 1 of
Munjal et al., 2019: train, test, draw.

    python tools/sweep_lambda.py --work-dir work_dirs/sweep --protocol G100 \\
        --curve "no KD" configs/oim/oim_r18_w0.1_synth.py \\
            configs/oim/oim_r18_w0.3_synth.py configs/oim/oim_r18_synth.py \\
        --curve KD_reid configs/kd/oim_r18_oim50_synth.py@0.1 \\
            configs/kd/oim_r18_oim50_synth.py@1.0 \\
        --detector configs/det/det_r18_synth.py --out sweep.png

CONFIG@WEIGHT is a config at another weight than its own. Runs are those of
tools/compare.py: with the same --work-dir, finished ones are not repeated.
"""

import argparse
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WEIGHT = 'model.roi_head.oim_head.loss_oim.loss_weight'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--curve',
        nargs='+',
        action='append',
        required=True,
        metavar=('LABEL', 'CONFIG[@WEIGHT]'),
        help='a label and at least one config',
    )
    parser.add_argument('--detector', metavar='CONFIG', help='its line')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument('--protocol', required=True, help='such as G100')
    parser.add_argument('--out', type=Path, required=True, help='.png or .pdf')
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
    args = parser.parse_args()
    for label, *configs in args.curve:
        if not configs:
            parser.error(f'--curve {label}: no config')
    return args


def weight_of(point: str) -> tuple[str, float, list[str]]:
    """Take CONFIG or CONFIG@WEIGHT apart.

    Returns:
        Path, lambda_oim, and the options that set it where it is not the
        config's own.
    """
    from mmengine.config import Config

    config, _, asked = point.partition('@')
    model = Config.fromfile(config, import_custom_modules=False).model
    own = model.roi_head.oim_head.loss_oim.loss_weight
    weight = float(asked or own)
    return config, weight, [] if weight == own else [f'{WEIGHT}={weight}']


def measure(point: tuple, args: argparse.Namespace) -> list[dict]:
    """One result for every seed."""
    from compare import run  # the tool beside this one

    config, weight, options = point
    name = Path(config).stem + (f'_lambda{weight:g}' if options else '')
    options = [*options, *args.cfg_options]
    return [
        run(
            config,
            seed,
            args.work_dir / f'{name}_seed{seed}',
            options,
            args.amp,
        )
        for seed in args.seeds
    ]


def main() -> None:
    args = parse_args()
    if args.jobs > 1:  # one core each, unless told otherwise
        os.environ.setdefault('OMP_NUM_THREADS', '1')
    points = [
        (label, weight_of(point))
        for label, *configs in args.curve
        for point in configs
    ]
    curves = {label: {} for label, _ in points}
    from mmps.experiments.children import CHILDREN
    from mmps.visualization import save_weight_sweep

    with CHILDREN.handing_on_signals(), ThreadPoolExecutor(args.jobs) as pool:
        detector = None
        if args.detector:
            detector_point = (args.detector, 0.0, [])
            detector = pool.submit(measure, detector_point, args)
        runs = pool.map(lambda point: measure(point[1], args), points)
        for (label, (config, weight, _)), results in zip(
            points, runs, strict=True
        ):
            curves[label][weight] = results
            search = [r[f'{args.protocol}/mAP'] for r in results]
            boxes = [r['det/AP'] for r in results]
            print(
                f'{label}, lambda_oim {weight:g} ({config}): search mAP '
                f'{statistics.mean(search):.4f}, detection AP '
                f'{statistics.mean(boxes):.4f}',
                flush=True,
            )
        boxes_alone = detector.result() if detector else []
    save_weight_sweep(curves, boxes_alone, args.protocol, args.out)
    print(f'Picture: {args.out}')


if __name__ == '__main__':
    main()
