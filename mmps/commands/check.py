"""Check that a data set is complete and can be read.

mmps check data/cuhk-sysu
mmps check data/prw --images
mmps check data/mine

Names every file that is missing or broken, compares the counts with the
published ones, and says what the data cannot train or measure. Exit code: 0 if
everything can be read, 1 if something is missing, broken or differs.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument('root', help='root of the data set')
    parser.add_argument(
        '--layout',
        choices=['cuhk-sysu', 'prw', 'coco-person'],
        help='default: found out from the files that are there',
    )
    parser.add_argument(
        '--own',
        action='store_true',
        help='own data in the layout of CUHK-SYSU or PRW: compare no '
        'published counts',
    )
    parser.add_argument(
        '--images',
        action='store_true',
        help='decode every image and compare its size with the boxes',
    )
    parser.add_argument(
        '--jobs', type=int, default=1, help='images decoded at a time'
    )


def run(args: argparse.Namespace) -> int:
    """Check, and say what was found."""
    from tqdm import tqdm

    from mmps.datasets.check import check_dataset, table

    report = check_dataset(
        args.root,
        layout=args.layout,
        own=args.own,
        decode=args.images,
        jobs=args.jobs,
        # no bar where nobody watches
        progress=lambda images: tqdm(images, unit='image', disable=None),
    )
    print(f'layout: {report.layout}')
    if report.found:
        print(table(report))
    for note in report.notes:
        print(f'note: {note}')
    for warning in report.warnings:
        print(f'warning: {warning}')
    for problem in report.problems:
        print(f'problem: {problem}')
    if not report.is_readable:
        print('NOT as expected, see above')
        return 1
    print(
        'complete'
        if report.is_complete
        else 'all files can be read; see the warnings above'
    )
    return 0
