"""Turn published weights of OIMNet++, SeqNet or NAE into a network of mmps.

mmps convert-weights epoch_19.pth --from seqnet --dataset cuhk-sysu \\
    --out seqnet.safetensors --table seqnet_lut.pth
mmps test seqnet_r50 seqnet.safetensors

The source is the training checkpoint as its authors have published it. Nothing
in it is executed. Every tensor is used or dropped for a reason that is
printed; a key that is not known, missing, or of another shape is an error.

A file of torch before 1.6 has no checksums: the first run prints its SHA-256
and asks for it as --sha256.

`--table` keeps the lookup table, against which students learn
(FrozenLUTHook). The names of its rows are those of the training half of the
data: of PRW they are known, of CUHK-SYSU they are read from --data-root.
`mmps zoo list --external` lists what there is, docs/bring_your_own_weights.md
shows the way from a file to a student.
"""

import argparse
import re
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument('source', help='the published checkpoint')
    parser.add_argument(
        '--from',
        dest='network',
        required=True,
        choices=['oimnetpp', 'seqnet', 'nae'],
        help='whose network it is',
    )
    parser.add_argument(
        '--dataset',
        required=True,
        choices=['cuhk-sysu', 'prw'],
        help='what it was trained on',
    )
    parser.add_argument(
        '--out', type=Path, required=True, help='FILE.safetensors'
    )
    parser.add_argument(
        '--table', type=Path, help='lookup table for KD_reid, FILE.pth'
    )
    parser.add_argument(
        '--data-root',
        default='data/cuhk-sysu',
        help='CUHK-SYSU, for the names of a table [%(default)s]',
    )
    parser.add_argument(
        '--sha256',
        type=_digits,
        help='of the source: 8 to 64 hexadecimal digits',
    )


def _digits(text: str) -> str:
    if not re.fullmatch('[0-9a-f]{8,64}', text.lower()):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not 8 to 64 hexadecimal digits'
        )
    return text.lower()


def run(args: argparse.Namespace) -> None:
    """Convert, write and say what was done."""
    from mmps.distillation import write_table
    from mmps.published import (
        NETWORKS,
        convert_weights,
        identity_table,
        read_published,
        write_converted,
    )
    from mmps.published.identities import PRW_WITHOUT_ROW, check_dataset
    from mmps.published.key_maps import TABLE
    from mmps.published.write import check_name, licence_note

    check_name(args.out)
    network = NETWORKS[args.network]
    published = read_published(args.source, args.sha256)
    conversion = convert_weights(published, network)
    check_dataset(len(conversion.table), args.dataset, args.source)
    if args.table:
        table = identity_table(
            conversion.table,
            args.dataset,
            _names(args),
            args.source,
            f'lookup table of {network.title}, {published.path.name}, '
            f'SHA-256 {published.sha256[:16]}',
        )
        write_table(table, args.table)
    write_converted(conversion, published, network, args.dataset, args.out)

    print(f'read     {args.source}, SHA-256 {published.sha256}')
    print(f'used     {conversion.used} tensors')
    for prefix, number in conversion.dropped.items():
        print(f'dropped  {number} of {prefix}: {network.dropped[prefix]}')
    for key in conversion.zeros:
        print(f'zeros    {key}: {network.title} has none')
    if not args.table:
        print(f'dropped  1 of {TABLE}: --table FILE.pth keeps this table')
    print(f'wrote    {args.out} and {args.out.name}.sha256')
    if args.table:
        print(f'wrote    {args.table}: {len(table.rows)} identities')
    if args.table and args.dataset == 'prw':
        print(
            f'note     {" and ".join(PRW_WITHOUT_ROW)} have no row; a student '
            'needs all: `mmps lut complete` (docs/bring_your_own_weights.md)'
        )
    print(f'terms    {licence_note(network, args.dataset)}')
    print(f'next     mmps test {network.config_for(args.dataset)} {args.out}')


def _names(args: argparse.Namespace) -> list[str] | None:
    """Names of the training people of CUHK-SYSU; PRW needs none."""
    if args.dataset == 'prw':
        return None
    from mmps.datasets.cuhk_sysu import read_cuhk_sysu

    return read_cuhk_sysu(args.data_root, 'train').identity_names
