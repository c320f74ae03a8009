"""Score a feature dump again, without the data set or a model.

    python tools/score.py work_dirs/run/features.npz --protocol G100 --cws
    python tools/score.py work_dirs/run/features.npz --per-query run.csv

``PersonSearchMetric(dump=...)`` writes the dump. Options add rows beside the
standard ones; docs/evaluation.md says what they mean.
"""

import argparse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog='docs/evaluation.md says what the options mean',
    )
    parser.add_argument('file', help='of PersonSearchMetric(dump=...)')
    parser.add_argument(
        '--protocol',
        nargs='*',
        metavar='NAME',
        help='default: all; without a name: detection alone',
    )
    parser.add_argument('--det-thr', type=float, default=0.5)
    parser.add_argument(
        '--duplicates', choices=('seqnet', 'oim', 'unique'), default='seqnet'
    )
    parser.add_argument('--cws', action='store_true')
    parser.add_argument('--gt-boxes', action='store_true')
    parser.add_argument('--cbgm', nargs=2, type=int, metavar=('K1', 'K2'))
    parser.add_argument(
        '--cbgm-variant',
        choices=('published', 'sum'),
        help='what --cbgm does [published]',
    )
    parser.add_argument('--detected-query', action='store_true')
    parser.add_argument('--out', metavar='FILE', help='write the JSON result')
    parser.add_argument(
        '--per-query',
        metavar='FILE',
        help='write what each query found, as .csv or .json',
    )
    args = parser.parse_args()
    if args.cbgm_variant and not args.cbgm:
        parser.error('--cbgm-variant needs --cbgm K1 K2')
    return args


def score(args: argparse.Namespace):
    """Score the file; what kind of file it is, is decided here alone."""
    from mmps.evaluation import read_dump
    from mmps.evaluation.evaluate import score_features

    cbgm = None
    if args.cbgm:
        cbgm = dict(zip(('k1', 'k2'), args.cbgm, strict=True))
        cbgm['variant'] = args.cbgm_variant or 'published'
    return score_features(
        read_dump(args.file),
        det_thr=args.det_thr,
        protocols=args.protocol,
        duplicates=args.duplicates,
        cws=args.cws,
        gt_boxes=args.gt_boxes,
        cbgm=cbgm,
        detected_query=args.detected_query,
    )


def main() -> None:
    args = parse_args()
    from mmps.evaluation.per_query import check_per_query, write_per_query
    from mmps.evaluation.report import render, write_json

    try:
        if args.per_query:
            check_per_query(args.per_query)
        scored = score(args)
    except (OSError, ValueError) as error:
        raise SystemExit(f'score.py: {error}') from None
    print(render(scored.result))
    if args.out:
        write_json(scored.result, args.out)
    if args.per_query:
        write_per_query(scored.queries, args.per_query)


if __name__ == '__main__':
    main()
