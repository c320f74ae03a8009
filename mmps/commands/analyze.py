"""Parameters, MACs and speed of networks, side by side.

mmps analyze oim_r50 oim_r18
mmps analyze qeeps_r50 oim_r18 --repeats 0         # nothing is timed

The table is Markdown; percentages are of the first config. A MAC is one
multiplication with its addition. Query-guided networks run on a whole pair,
query and gallery image, and keep nothing from earlier pairs; the others run on
one image. Weights are random, nothing is downloaded.
"""

import argparse
from pathlib import Path

from .arguments import at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument(
        'configs', nargs='+', help='paths of configs, or names of mmps'
    )
    parser.add_argument(
        '--shape',
        nargs=2,
        type=at_least(32),
        default=[600, 800],
        metavar=('HEIGHT', 'WIDTH'),
        help='of the image that the network is fed [600 800]',
    )
    parser.add_argument(
        '--repeats',
        type=at_least(0),
        default=3,
        help='measurements of time, whose median is shown [%(default)s]',
    )
    parser.add_argument(
        '--device', default='cpu', help='such as cuda [%(default)s]'
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')


def run(args: argparse.Namespace) -> None:
    """Analyze, and print the table."""
    import torch

    from mmps.apis import load_config
    from mmps.configs import config_name
    from mmps.experiments.analysis import analyze, table, write_analysis

    shape = tuple(args.shape)
    results = {
        config_name(config): analyze(
            load_config(config), shape, args.repeats, args.device
        )
        for config in args.configs
    }
    print(table(results, shape))
    if args.repeats:
        print(
            f'\ntimes: median of {args.repeats} on {args.device}, torch '
            f'{torch.__version__}, {torch.get_num_threads()} threads'
        )
    if args.out:
        write_analysis(results, args.out)
        print(f'wrote {args.out}')
