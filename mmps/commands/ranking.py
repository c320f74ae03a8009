"""Draw the queries of a feature dump and what was ranked first.

mmps test CONFIG CHECKPOINT --dump features.npz
mmps ranking features.npz data/cuhk-sysu/Image/SSM --protocol G100 \\
    --out ranking.png
"""

import argparse

from .arguments import at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument('dump', help='written by `mmps test --dump`')
    parser.add_argument('image_dir', help='folder of the images')
    parser.add_argument('--protocol', required=True, help='such as G100')
    parser.add_argument(
        '--queries',
        type=at_least(1),
        default=6,
        help='how many, spread evenly over the protocol [%(default)s]',
    )
    parser.add_argument(
        '--top',
        type=at_least(1),
        default=8,
        help='detections a query [%(default)s]',
    )
    parser.add_argument(
        '--det-thr', type=float, default=0.5, help='[%(default)s]'
    )
    parser.add_argument('--out', required=True, help='picture to write')


def run(args: argparse.Namespace) -> None:
    """Draw."""
    from mmps.evaluation.dump import read_dump
    from mmps.visualization import save_ranking_sheet

    save_ranking_sheet(
        read_dump(args.dump),
        args.image_dir,
        args.out,
        protocol=args.protocol,
        num_queries=args.queries,
        top=args.top,
        det_thr=args.det_thr,
    )
    print(f'wrote {args.out}')
