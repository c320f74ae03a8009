"""Compare two test runs query by query: is B better than A?

mmps compare-runs oim.csv qeeps.csv
mmps compare-runs A.npz B.npz --protocol G50 G100 \\
    --picture compared.png --out compared.json

A run is what --per-query of `mmps test` or `mmps score` wrote (.csv or .json),
or a dump (.npz), which is scored. Differences are B minus A; the interval is
that of a paired bootstrap over the queries (percentile method).
docs/evaluation.md says what it means.
"""

import argparse
from pathlib import Path

from .arguments import at_least

PICTURES = ('.png', '.svg', '.pdf')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument('a', metavar='A', type=Path)
    parser.add_argument('b', metavar='B', type=Path)
    parser.add_argument(
        '--names',
        nargs=2,
        metavar=('A', 'B'),
        help='what the runs are called [the names of the files]',
    )
    parser.add_argument(
        '--protocol', nargs='+', metavar='NAME', help='rows to compare [all]'
    )
    parser.add_argument(
        '--det-thr', type=float, default=0.5, help='of dumps [%(default)s]'
    )
    parser.add_argument(
        '--resamples', type=at_least(1), default=10_000, help='[%(default)s]'
    )
    parser.add_argument('--seed', type=int, default=0, help='[%(default)s]')
    parser.add_argument('--out', metavar='FILE', help='write the JSON result')
    parser.add_argument(
        '--picture',
        metavar='FILE',
        type=_picture,
        help=f'draw it: {", ".join(PICTURES)}',
    )


def _picture(name: str) -> str:
    if Path(name).suffix not in PICTURES:
        raise argparse.ArgumentTypeError(
            f'must end in one of {", ".join(PICTURES)}, got {name}'
        )
    return name


def run(args: argparse.Namespace) -> None:
    """Compare, print the table, write what was asked for."""
    from mmps.evaluation.comparison import compare, pair_up
    from mmps.report.comparison import comparison_table, write_comparisons
    from mmps.report.runs import read_queries

    runs = [read_queries(path, args.det_thr) for path in (args.a, args.b)]
    comparisons = [
        compare(paired, args.resamples, args.seed)
        for paired in pair_up(*runs, args.protocol)
    ]
    names = args.names or (args.a.stem, args.b.stem)
    print(f'A: {names[0]} ({args.a})\nB: {names[1]} ({args.b})\n')
    print(comparison_table(comparisons))
    print(
        '\nPercent. Interval: paired bootstrap over the queries, percentile '
        f'method, {args.resamples} resamples, seed {args.seed}. Won, lost, '
        'equal: by the average precision of B against A.'
    )
    if args.out:
        write_comparisons(
            args.out,
            comparisons,
            a=str(args.a),
            b=str(args.b),
            resamples=args.resamples,
            seed=args.seed,
        )
    if args.picture:
        from mmps.visualization.comparison_picture import draw_comparisons

        draw_comparisons(comparisons, names, args.picture)
        print(f'wrote {args.picture}')
