"""Publish a trained network: weights, table, and its entry in the metafile.

mmps publish configs/kd/oim_r18_qeeps50_synth.py \\
    work_dirs/oim_r18_qeeps50_synth/epoch_8.pth --half --table \\
    --commit 1a2b3c4 --resources "1 core, AMD EPYC" --hours 0.1

Written is the network as it is tested: no teacher, no optimizer, no queue, in
safetensors, with config, figures, identity names and terms in its header and
its SHA-256 in its name. The very tensors that are published are tested with
the config first; those figures go into the metafile beside the config. Then
run `mmps results-table`.

Refused are weights that were trained with another model or on other people
than the config says, a commit that the repository does not have, and a result
of 0.
"""

import argparse
from pathlib import Path

from .arguments import add_cfg_options, add_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    add_config(parser, 'its folder has a metafile.yml')
    parser.add_argument('checkpoint', help='written by its training')
    parser.add_argument(
        '--half', action='store_true', help='float16: half the size'
    )
    parser.add_argument(
        '--table',
        action='store_true',
        help='publish its lookup table as well, for KD_reid',
    )
    parser.add_argument(
        '--table-only', action='store_true', help='the table, no weights'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('weights'), help='[%(default)s]'
    )
    parser.add_argument(
        '--commit', required=True, help='of mmps, that it was trained with'
    )
    parser.add_argument(
        '--resources', required=True, help='hardware of the training'
    )
    parser.add_argument(
        '--hours', required=True, type=float, help='of the training'
    )
    parser.add_argument(
        '--log',
        type=Path,
        help='scalars.json of the training; is copied beside the weights',
    )
    add_cfg_options(parser, 'override the config in the test')


def run(args: argparse.Namespace) -> None:
    """Test and publish; print the files."""
    from mmps.apis import parse_options
    from mmps.publishing import Training, publish

    training = Training(args.commit, args.resources, args.hours, args.log)
    for path in publish(
        args.config,
        args.checkpoint,
        args.out,
        training,
        half=args.half,
        weights=not args.table_only,
        table=args.table or args.table_only,
        cfg_options=parse_options(args.cfg_options),
    ):
        print(path)
