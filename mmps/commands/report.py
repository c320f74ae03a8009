"""Write one HTML page on one or several test runs.

mmps test CONFIG CHECKPOINT --out run.json --dump run.npz
mmps report run.json,run.npz --out report.html \\
    --images data/cuhk-sysu/Image/SSM
mmps report oim=a.json,a.npz,work_dirs/oim_r50 kd=b.npz --out report.html

A run is a result (.json), features (.npz) or both, and the work_dir of its
training, joined by commas. Curves and pictures need the features, pictures
the images too. The page holds all that it shows and loads nothing else.
"""

import argparse

from .arguments import at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument('runs', nargs='+', metavar='[NAME=]FILE[,FILE...]')
    parser.add_argument('--out', required=True, metavar='report.html')
    parser.add_argument(
        '--title', default='Person search', help='[%(default)s]'
    )
    parser.add_argument(
        '--images', metavar='DIR', help='folder of the images, for pictures'
    )
    parser.add_argument(
        '--protocol', help='of the pictures [the first of the features]'
    )
    parser.add_argument(
        '--queries',
        type=at_least(0),
        default=4,
        metavar='N',
        help='pictures of the N worst and N best [%(default)s]',
    )
    parser.add_argument(
        '--det-thr', type=float, default=0.5, help='[%(default)s]'
    )


def run(args: argparse.Namespace) -> None:
    """Read the runs, write the page."""
    from mmps import __version__
    from mmps.report.page import write_report
    from mmps.report.runs import read_run

    write_report(
        [read_run(run, args.det_thr) for run in args.runs],
        args.out,
        title=args.title,
        image_dir=args.images,
        protocol=args.protocol,
        num_each=args.queries,
        det_thr=args.det_thr,
        version=__version__,
    )
    print(f'wrote {args.out}')
