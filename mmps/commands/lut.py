"""Lookup tables of identities: what a KD_reid student learns against.

mmps lut extract work_dirs/oim_r50/epoch_20.pth oim_r50_lut.pth
mmps lut compute oim_r50 CHECKPOINT oim_r50_lut.pth
mmps lut info oim_r50_lut.pth
mmps lut random oim_r50_lut.pth random_lut.pth --seed 0
mmps lut complete published_lut.pth computed_lut.pth lut.pth

`extract` copies the table that OIM has kept while training. `compute` takes
the normalised mean embedding of every identity over the training boxes, for
teachers without such a table. Either file, or the checkpoint itself, goes
into `FrozenLUTHook(teacher=...)`. `random` replaces the rows of a table by
random ones: the control of an experiment. `complete` takes the rows of people
that a table lacks from a computed one of the same network.
"""

import argparse
from pathlib import Path

from .arguments import add_cfg_options, add_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    commands = parser.add_subparsers(dest='what', required=True)
    extract = commands.add_parser('extract', help='copy one of a checkpoint')
    extract.add_argument('checkpoint', help='file, URL or zoo://NAME')
    compute = commands.add_parser('compute', help='average embeddings')
    add_config(compute, 'of the teacher')
    compute.add_argument('checkpoint', help='file, URL or zoo://NAME')
    compute.add_argument('--work-dir', help='logs [work_dirs/<config name>]')
    add_cfg_options(compute)
    random = commands.add_parser('random', help='random rows, same people')
    random.add_argument('checkpoint', help='table file or checkpoint, or URL')
    random.add_argument('--seed', type=int, default=0, help='[%(default)s]')
    complete = commands.add_parser('complete', help='add rows of another one')
    complete.add_argument('checkpoint', help='table file that lacks people')
    complete.add_argument('other', help='table file of all people')
    for command in (extract, compute, random, complete):
        command.add_argument(
            'out', type=_table_file, help='table file, ends in .pth'
        )
        command.add_argument(
            '--half', action='store_true', help='float16: half the size'
        )
    info = commands.add_parser('info', help='describe the table of a file')
    info.add_argument('checkpoint', help='table file or checkpoint, or URL')


def _table_file(name: str) -> str:
    if not name.endswith('.pth'):
        raise argparse.ArgumentTypeError(
            f'{name}: the name of a table file ends in .pth'
        )
    return name


def run(args: argparse.Namespace) -> None:
    """Read, compute or write a table, and describe it."""
    from mmps.apis import load_config, parse_options, table_of
    from mmps.distillation import (
        complete_table,
        random_table,
        read_table,
        write_table,
    )
    from mmps.distillation.identity_table import describe

    if args.what == 'info':
        print(describe(read_table(args.checkpoint)))
        return
    if args.what == 'extract':
        table = read_table(args.checkpoint)
    elif args.what == 'random':
        table = random_table(read_table(args.checkpoint), args.seed)
    elif args.what == 'complete':
        table = complete_table(
            read_table(args.checkpoint), read_table(args.other)
        )
    else:
        cfg = load_config(
            args.config,
            work_dir=args.work_dir,
            cfg_options=parse_options(args.cfg_options),
        )
        table = table_of(cfg, args.checkpoint)
    write_table(table, args.out, half=args.half)
    print(describe(read_table(args.out)))
    print(f'{args.out}: {Path(args.out).stat().st_size / 1024:.1f} KiB')
