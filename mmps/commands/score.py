"""Score a feature dump or findings of pairs again, without data set and model.

mmps score work_dirs/run/features.npz --protocol G100 --cws
mmps score work_dirs/run/features.npz --per-query run.csv
mmps score work_dirs/qeeps_r50/pairs/0123456789abcdef --cws

`mmps test --dump` writes the dump; a test of a query-guided network leaves the
folder. Options add rows beside the standard ones; docs/evaluation.md says what
they mean.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument(
        'file',
        help='written by `mmps test --dump`, or the folder '
        'work_dir/pairs/<network> of a test of a query-guided network',
    )
    parser.add_argument(
        '--protocol',
        nargs='*',
        metavar='NAME',
        help='default: all; without a name: detection alone',
    )
    parser.add_argument(
        '--det-thr',
        type=float,
        default=0.5,
        help='score from which on a box counts [%(default)s]',
    )
    parser.add_argument(
        '--duplicates',
        choices=('seqnet', 'oim', 'unique'),
        default='seqnet',
        help='what a gallery that names an image twice means [%(default)s]',
    )
    parser.add_argument(
        '--cws',
        action='store_true',
        help='weight similarities with the scores of the boxes',
    )
    parser.add_argument(
        '--gt-boxes', action='store_true', help='search in annotated boxes'
    )
    parser.add_argument(
        '--cbgm',
        nargs=2,
        type=int,
        metavar=('K1', 'K2'),
        help='context bipartite graph matching',
    )
    parser.add_argument(
        '--cbgm-variant',
        choices=('published', 'sum'),
        help='what --cbgm does [published]',
    )
    parser.add_argument(
        '--detected-query',
        action='store_true',
        help='ask with the detected box nearest to that of the query',
    )
    parser.add_argument('--out', metavar='FILE', help='write the JSON result')
    parser.add_argument(
        '--per-query',
        metavar='FILE',
        help='write what each query found, as .csv or .json',
    )


def run(args: argparse.Namespace) -> None:
    """Score, print, write what was asked for."""
    from mmps.errors import InputError
    from mmps.evaluation.per_query import check_per_query, write_per_query
    from mmps.evaluation.result_text import describe_result, write_json

    if args.cbgm_variant and not args.cbgm:
        raise InputError('--cbgm-variant', 'needs --cbgm K1 K2')
    if args.per_query:
        check_per_query(args.per_query)
    scored = _scored(args)
    print(describe_result(scored.result))
    if args.out:
        write_json(scored.result, args.out)
    if args.per_query:
        write_per_query(scored.queries, args.per_query)


def _scored(args: argparse.Namespace):
    """``Scored`` of a dump, or of a folder of pairs."""
    from mmps.errors import InputError
    from mmps.evaluation.dump import read_dump
    from mmps.evaluation.scoring import score_features
    from mmps.evaluation.stored_pairs import score_stored

    options = dict(
        det_thr=args.det_thr,
        protocols=args.protocol,
        duplicates=args.duplicates,
        cws=args.cws,
    )
    if Path(args.file).is_dir():
        if args.gt_boxes or args.cbgm or args.detected_query:
            raise InputError(
                args.file,
                'pairs have no embeddings of their own',
                'Leave out --gt-boxes, --cbgm and --detected-query',
            )
        return score_stored(args.file, **options)
    cbgm = None
    if args.cbgm:
        cbgm = dict(zip(('k1', 'k2'), args.cbgm, strict=True))
        cbgm['variant'] = args.cbgm_variant or 'published'
    return score_features(
        read_dump(args.file),
        gt_boxes=args.gt_boxes,
        cbgm=cbgm,
        detected_query=args.detected_query,
        **options,
    )
