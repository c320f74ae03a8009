"""Draw what a network is fed: images, boxes and identities of a pipeline.

mmps browse oim_r50 --out browse
mmps browse qeeps_r50 --num 10 --out pairs   # query and gallery image
mmps browse oim_r50 --split test --out browse-test
"""

import argparse

from .arguments import add_cfg_options, add_config, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    add_config(parser)
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='train',
        help='whose data loader [%(default)s]',
    )
    parser.add_argument(
        '--num', type=at_least(1), default=20, help='items [%(default)s]'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='chooses them [%(default)s]'
    )
    parser.add_argument(
        '--out',
        default='browse',
        metavar='DIR',
        help='folder of the pictures and index.html [%(default)s]',
    )
    add_cfg_options(
        parser, 'override the config: train_dataloader.dataset.data_root=...'
    )


def run(args: argparse.Namespace) -> None:
    """Draw."""
    from mmps.apis import build_dataset, load_config, parse_options
    from mmps.visualization.input_pages import save_input_pages

    cfg = load_config(args.config, cfg_options=parse_options(args.cfg_options))
    files = save_input_pages(
        build_dataset(cfg, args.split),
        args.out,
        title=f'{args.config}, {args.split}',
        num=args.num,
        seed=args.seed,
    )
    print(f'wrote {len(files)} pictures and {args.out}/index.html')
