"""Score a feature dump or findings of pairs again, without data set and model.

    python tools/score.py work_dirs/run/features.npz --protocol G100 --cws
    python tools/score.py work_dirs/run/features.npz --per-query run.csv
    python tools/score.py work_dirs/qeeps_r50/pairs/0123456789abcdef --cws

``PersonSearchMetric(dump=...)`` writes the dump; a test of a query-guided
network leaves the folder. Options add rows beside the standard ones;
docs/evaluation.md says what they mean.
"""

import argparse
import os


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog='docs/evaluation.md says what the options mean',
    )
    parser.add_argument(
        'file',
        help='of PersonSearchMetric(dump=...), or the folder work_dir/pairs/'
        '<network> of a test of a query-guided network',
    )
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
    from mmps.evaluation.dump import read_dump
    from mmps.evaluation.scoring import score_features
    from mmps.evaluation.stored_pairs import score_stored

    if os.path.isdir(args.file):
        if args.gt_boxes or args.cbgm or args.detected_query:
            raise ValueError(
                'pairs have no embeddings of their own: leave out --gt-boxes, '
                '--cbgm and --detected-query'
            )
        return score_stored(
            args.file,
            det_thr=args.det_thr,
            protocols=args.protocol,
            duplicates=args.duplicates,
            cws=args.cws,
        )
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
    from mmps.evaluation.result_text import describe_result, write_json

    try:
        if args.per_query:
            check_per_query(args.per_query)
        scored = score(args)
    except (OSError, ValueError) as error:
        raise SystemExit(f'score.py: {error}') from None
    print(describe_result(scored.result))
    if args.out:
        write_json(scored.result, args.out)
    if args.per_query:
        write_per_query(scored.queries, args.per_query)


if __name__ == '__main__':
    main()
