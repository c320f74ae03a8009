"""Score a feature dump again, without the data set or a model.

    python tools/score.py work_dirs/run/features.npz --protocol G100 --cws

``PersonSearchMetric(dump=...)`` writes the dump. Options add rows beside the
standard ones; docs/evaluation.md says what they mean.
"""

import argparse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog='docs/evaluation.md says what the options mean',
    )
    parser.add_argument('dump', help='file of PersonSearchMetric(dump=...)')
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
    parser.add_argument('--detected-query', action='store_true')
    parser.add_argument('--out', metavar='FILE', help='write the JSON result')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmps.evaluation import evaluate, read_dump
    from mmps.evaluation.report import render, write_json

    try:
        result = evaluate(
            read_dump(args.dump),
            det_thr=args.det_thr,
            protocols=args.protocol,
            duplicates=args.duplicates,
            cws=args.cws,
            gt_boxes=args.gt_boxes,
            cbgm=dict(zip(('k1', 'k2'), args.cbgm, strict=True))
            if args.cbgm
            else None,
            detected_query=args.detected_query,
        )
    except (OSError, ValueError) as error:
        raise SystemExit(f'score.py: {error}') from None
    print(render(result))
    if args.out:
        write_json(result, args.out)


if __name__ == '__main__':
    main()
