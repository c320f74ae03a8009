"""Write a complete config for a data set.

mmps init-config data/mine
mmps init-config data/mine --method det --backbone r50 --out mine_det.py
mmps init-config data/mine --from zoo://oim_r50_crowded_3x

The data set has any layout that `mmps check` knows. Identities, queue, scale,
anchors and epochs are chosen from what was measured; the config says why. It
inherits from the configs of mmps, so it works from any folder.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument('data', help='root of the data set')
    parser.add_argument(
        '--method',
        choices=['oim', 'det'],
        default='oim',
        help='oim searches, det detects alone [%(default)s]',
    )
    parser.add_argument(
        '--backbone',
        choices=['r18', 'r50'],
        help='[that of --from, else r18]',
    )
    parser.add_argument(
        '--narrow',
        action='store_true',
        help='half as wide, from random weights, for small pictures without '
        'a GPU',
    )
    parser.add_argument(
        '--from',
        dest='start',
        metavar='CHECKPOINT',
        help='fine-tune zoo://NAME or a checkpoint',
    )
    parser.add_argument(
        '--like',
        metavar='CONFIG',
        help='that the checkpoint was trained with [the one in its folder]',
    )
    parser.add_argument('--epochs', type=int, help='[chosen]')
    parser.add_argument('--out', metavar='FILE.py', help='[METHOD_DATA.py]')
    parser.add_argument(
        '--force', action='store_true', help='write over a file that is there'
    )


def run(args: argparse.Namespace) -> None:
    """Measure, choose, write, and load what was written."""
    from pathlib import Path

    from mmengine.config import Config

    from mmps.atomic_files import write_text
    from mmps.errors import InputError
    from mmps.own_data.config_text import config_text

    if args.epochs is not None and args.epochs < 2:
        raise ValueError(
            f'--epochs must be at least 2, got {args.epochs}: the learning '
            'rate warms up in the first'
        )
    name = Path(args.data).resolve().name
    out = Path(args.out or f'{args.method}_{name}.py')
    if out.exists() and not args.force:
        raise InputError(out, 'is there', 'Choose another --out, or --force')
    text = config_text(
        args.data,
        out,
        method=args.method,
        backbone=args.backbone,
        narrow=args.narrow,
        start=args.start,
        like=args.like,
        epochs=args.epochs,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)
    Config.fromfile(out)
    print(text)
    print(f'wrote {out}; next: mmps train {out}')
