"""Test a checkpoint: search and detection figures, every protocol.

mmps test oim_r50 work_dirs/oim_r50/epoch_20.pth
mmps test oim_r18_synth zoo://oim_r18_synth
mmps test oim_r50 untrained
mmps test oim_r18_synth exported/int8
mmps test CONFIG CHECKPOINT --per-query oim_r50.csv
mmps test CONFIG CHECKPOINT --show-dir pictures --show-queries 20

On several GPUs: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options].
"""

import argparse

from .arguments import add_cfg_options, add_config, add_launcher, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    add_config(parser)
    parser.add_argument(
        'checkpoint',
        help='file, URL or zoo://NAME; folder of an exported network; '
        "'untrained' for random weights",
    )
    parser.add_argument('--work-dir', help='logs [work_dirs/<config name>]')
    parser.add_argument('--out', help='write the result to this JSON file')
    parser.add_argument(
        '--dump',
        metavar='FILE.npz',
        help='write boxes, scores and embeddings; `mmps score` reads them',
    )
    parser.add_argument(
        '--per-query',
        metavar='FILE',
        help='write what each query found, as .csv or .json; '
        '`mmps compare-runs` compares two',
    )
    parser.add_argument(
        '--show-dir',
        metavar='DIR',
        help='draw the queries and what was ranked first, with index.html',
    )
    parser.add_argument(
        '--show-queries',
        type=at_least(1),
        metavar='N',
        help='the N worst and the N best queries [all]',
    )
    parser.add_argument(
        '--show-protocol',
        metavar='NAME',
        help='such as G100 [the first one]',
    )
    parser.add_argument(
        '--show-top',
        type=at_least(1),
        default=8,
        metavar='K',
        help='detections a query [%(default)s]',
    )
    add_cfg_options(parser, 'override the config: test_evaluator.cws=True ...')
    add_launcher(parser)


def run(args: argparse.Namespace) -> None:
    """Test; the result is logged, and written if asked for."""
    from mmps.errors import InputError
    from mmps.evaluation.per_query import check_per_query

    if args.show_dir is None and (args.show_queries or args.show_protocol):
        raise InputError('--show-queries, --show-protocol', 'need --show-dir')
    if args.per_query is not None:
        check_per_query(args.per_query)
    from mmps.apis import load_config, parse_options, run_test

    cfg = load_config(
        args.config,
        work_dir=args.work_dir,
        cfg_options=parse_options(args.cfg_options),
        launcher=args.launcher,
    )
    show = None
    if args.show_dir is not None:
        show = dict(
            out=args.show_dir,
            protocol=args.show_protocol,
            num_each=args.show_queries,
            top=args.show_top,
        )
    run_test(
        cfg,
        args.checkpoint,
        dump=args.dump,
        per_query=args.per_query,
        out=args.out,
        show=show,
    )
