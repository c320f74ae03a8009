"""Draw what a model is fed: images behind the pipeline, boxes, identities.

    python tools/browse_dataset.py configs/oim/oim_r50.py --out browse
    python tools/browse_dataset.py configs/qeeps/qeeps_r50.py --num 10 \\
        --out pairs        # query and gallery image side by side
    python tools/browse_dataset.py configs/oim/oim_r50.py --split test \\
        --out browse-test
"""

import argparse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='train',
        help='whose data loader [%(default)s]',
    )
    parser.add_argument(
        '--num', type=int, default=20, help='items [%(default)s]'
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
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='override the config: train_dataloader.dataset.data_root=...',
    )
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}')
    return args


def main() -> None:
    args = parse_args()
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


if __name__ == '__main__':
    main()
