"""Compare two test runs query by query: is B better than A?

    python tools/compare_runs.py oim.csv qeeps.csv
    python tools/compare_runs.py A.npz B.npz --protocol G50 G100 \\
        --picture compared.png --out compared.json

A run is what --per-query of tools/test.py or tools/score.py wrote (.csv or
.json), or a dump (.npz), which is scored. Differences are B minus A; the
interval is that of a paired bootstrap over the queries (percentile method).
docs/evaluation.md says what it means.
"""

import argparse
import json
import math
from pathlib import Path

PICTURES = ('.png', '.svg', '.pdf')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
        '--resamples', type=int, default=10_000, help='[%(default)s]'
    )
    parser.add_argument('--seed', type=int, default=0, help='[%(default)s]')
    parser.add_argument('--out', metavar='FILE', help='write the JSON result')
    parser.add_argument(
        '--picture', metavar='FILE', help=f'draw it: {", ".join(PICTURES)}'
    )
    args = parser.parse_args()
    if args.resamples < 1:
        parser.error(f'--resamples must be at least 1, got {args.resamples}')
    if args.picture and Path(args.picture).suffix not in PICTURES:
        parser.error(
            f'--picture must end in one of {", ".join(PICTURES)}, got '
            f'{args.picture}'
        )
    return args


def table(comparisons: list) -> str:
    """Markdown: a line for each protocol and figure."""
    lines = [
        '| protocol | figure | A | B | B - A | 95 % interval | queries '
        '| won | lost | equal |',
        '| --- ' * 10 + '|',
    ]
    for compared in comparisons:
        counts = compared.summary()
        shown = [compared.paired.protocol]
        for name, found in compared.figures.items():
            cells = [name, *(number(x) for x in (found.a, found.b))]
            cells.append(number(found.difference, '+'))
            cells.append(
                f'{number(found.low, "+")} to {number(found.high, "+")}'
            )
            if shown[0]:
                cells += [
                    str(counts[key])
                    for key in ('queries', 'won', 'lost', 'equal')
                ]
            else:
                cells += [''] * 4
            lines.append('| ' + ' | '.join(shown + cells) + ' |')
            shown = ['']
    return '\n'.join(lines)


def number(ratio: float, sign: str = '') -> str:
    """In percent with two decimals, a dash for NaN."""
    return '-' if math.isnan(ratio) else f'{100 * ratio:{sign}.2f}'


def write_result(args: argparse.Namespace, comparisons: list) -> None:
    """All numbers, unrounded, NaN as null."""
    from mmps.atomic_files import write_text

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items()}
        bad = isinstance(value, float) and math.isnan(value)
        return None if bad else value

    content = {
        'a': str(args.a),
        'b': str(args.b),
        'resamples': args.resamples,
        'seed': args.seed,
        'protocols': {
            compared.paired.protocol: plain(compared.summary())
            for compared in comparisons
        },
    }
    write_text(args.out, json.dumps(content, indent=1) + '\n')


def main() -> None:
    args = parse_args()
    from mmps.evaluation.comparison import compare, pair_up
    from mmps.report.runs import read_queries

    try:
        runs = [read_queries(path, args.det_thr) for path in (args.a, args.b)]
        pairs = pair_up(*runs, args.protocol)
    except (OSError, ValueError) as error:
        raise SystemExit(f'compare_runs.py: {error}') from None
    comparisons = [
        compare(paired, args.resamples, args.seed) for paired in pairs
    ]
    names = args.names or (args.a.stem, args.b.stem)
    print(f'A: {names[0]} ({args.a})\nB: {names[1]} ({args.b})\n')
    print(table(comparisons))
    print(
        '\nPercent. Interval: paired bootstrap over the queries, percentile '
        f'method, {args.resamples} resamples, seed {args.seed}. Won, lost, '
        'equal: by the average precision of B against A.'
    )
    if args.out:
        write_result(args, comparisons)
    if args.picture:
        from mmps.visualization.comparison_picture import draw_comparisons

        draw_comparisons(comparisons, names, args.picture)
        print(f'wrote {args.picture}')


if __name__ == '__main__':
    main()
