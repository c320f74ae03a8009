"""Test a checkpoint: search and detection figures, every protocol.

python tools/test.py configs/oim/oim_r50.py work_dirs/oim_r50/epoch_20.pth
python tools/test.py configs/oim/oim_r50.py untrained
tools/dist_test.sh configs/oim/oim_r50.py CHECKPOINT 8 --dump oim_r50.npz
python tools/test.py CONFIG CHECKPOINT --per-query oim_r50.csv
python tools/test.py CONFIG CHECKPOINT --show-dir pictures --show-queries 20
"""

import argparse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint',
        help="file or URL; 'untrained' for freshly drawn weights",
    )
    parser.add_argument('--work-dir', help='logs [work_dirs/<config name>]')
    parser.add_argument('--out', help='write the result to this JSON file')
    parser.add_argument(
        '--dump',
        metavar='FILE.npz',
        help='write boxes, scores and embeddings; tools/score.py reads them',
    )
    parser.add_argument(
        '--per-query',
        metavar='FILE',
        help='write what each query found, as .csv or .json; '
        'tools/compare_runs.py compares two',
    )
    parser.add_argument(
        '--show-dir',
        metavar='DIR',
        help='draw the queries and what was ranked first, with index.html',
    )
    parser.add_argument(
        '--show-queries',
        type=int,
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
        type=int,
        default=8,
        metavar='K',
        help='detections a query [%(default)s]',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='override the config: test_evaluator.cws=True ...',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how several processes were started',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    for name in ('show_queries', 'show_top'):
        value = getattr(args, name)
        if value is not None and value < 1:
            option = name.replace('_', '-')
            parser.error(f'--{option} must be at least 1, got {value}')
    if args.show_dir is None and (args.show_queries or args.show_protocol):
        parser.error('--show-queries and --show-protocol need --show-dir')
    return args


def main() -> None:
    args = parse_args()
    from mmps.apis import load_config, parse_options, run_test
    from mmps.evaluation.per_query import check_per_query

    if args.per_query is not None:
        try:
            check_per_query(args.per_query)
        except ValueError as error:
            raise SystemExit(f'test.py: {error}') from None
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


if __name__ == '__main__':
    main()
