"""Lookup tables of identities: what a KD_reid student learns against.

python tools/lut.py extract work_dirs/oim_r50/epoch_20.pth oim_r50_lut.pth
python tools/lut.py compute configs/oim/oim_r50.py CHECKPOINT oim_r50_lut.pth
python tools/lut.py info oim_r50_lut.pth
python tools/lut.py random oim_r50_lut.pth random_lut.pth --seed 0

`extract` copies the table that OIM has kept while training, `compute` takes
the normalised mean embedding of every identity over the training boxes, for
teachers without such a table. Either file, or the checkpoint itself, goes
into `FrozenLUTHook(teacher=...)`. `random` puts random rows in place of a
table's: the control of an experiment.
"""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='command', required=True)
    extract = commands.add_parser('extract', help='copy one of a checkpoint')
    extract.add_argument('checkpoint', help='file or URL')
    compute = commands.add_parser('compute', help='average embeddings')
    compute.add_argument('config', help='config file of the teacher')
    compute.add_argument('checkpoint', help='file or URL')
    compute.add_argument('--work-dir', help='logs [work_dirs/<config name>]')
    compute.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='override the config',
    )
    random = commands.add_parser('random', help='random rows, same people')
    random.add_argument('checkpoint', help='table file or checkpoint, or URL')
    random.add_argument('--seed', type=int, default=0, help='[%(default)s]')
    for command in (extract, compute, random):
        command.add_argument('out', help='table file, ends in .pth')
        command.add_argument(
            '--half', action='store_true', help='float16: half the size'
        )
    info = commands.add_parser('info', help='describe the table of a file')
    info.add_argument('file', help='table file or checkpoint, or its URL')
    args = parser.parse_args()
    if args.command != 'info' and not args.out.endswith('.pth'):
        parser.error(f'{args.out}: the name of a table file ends in .pth')
    return args


def main() -> None:
    args = parse_args()
    from mmps.apis import load_config, parse_options, table_of
    from mmps.distillation import random_table, read_table, write_table
    from mmps.distillation.identity_table import describe

    if args.command == 'info':
        print(describe(read_table(args.file)))
        return
    if args.command == 'extract':
        table = read_table(args.checkpoint)
    elif args.command == 'random':
        table = random_table(read_table(args.checkpoint), args.seed)
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


if __name__ == '__main__':
    main()
