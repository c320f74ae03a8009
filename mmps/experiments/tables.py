"""Tables of a campaign, in Markdown and percent."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import chain

from scipy.stats import t as student


def table(rows: dict[str, Sequence[dict]], protocols: Sequence[str]) -> str:
    """Markdown: mean and sample standard deviation over the seeds.

    Args:
        rows: Label -> results of its seeds.
        protocols: Whose mAP and top-1 are shown; detection is where there is
            any.
    """
    figures = _figures(protocols, chain(*rows.values()))
    lines = [['network', 'seeds', *figures]]
    for label, results in rows.items():
        cells = [spread(results, key) for key in figures.values()]
        lines.append([label, str(len(results)), *cells])
    return markdown(lines)


def differences_table(
    rows: dict[str, Sequence[Sequence[dict]]], protocols: Sequence[str]
) -> str:
    """Markdown: mean difference of two runs, seed by seed, and its interval.

    Args:
        rows: Label -> results of a run, and of what it is compared with.
        protocols: Names of the protocols whose mAP and top-1 are shown, such
            as 'G50'.
    """
    results = [chain(*pair) for pair in rows.values()]
    figures = _figures(protocols, chain(*results))
    lines = [['difference', 'seeds', *figures]]
    for label, (ours, others) in rows.items():
        base = {result['seed']: result['figures'] for result in others}
        pairs = [
            (result['figures'], base[result['seed']])
            for result in ours
            if result['seed'] in base
        ]
        cells = [difference(pairs, key) for key in figures.values()]
        lines.append([label, str(len(pairs)), *cells])
    return markdown(lines)


def difference(pairs: Sequence[tuple[dict, dict]], key: str) -> str:
    """Cell: mean of the differences in percent, [95 % interval of Student]."""
    if not pairs:
        return 'not run'
    values = [
        100 * (one[key] - other[key])
        for one, other in pairs
        if key in one and key in other
    ]
    if not values:
        return '-'
    mean = statistics.mean(values)
    if len(values) == 1:
        return f'{mean:+.1f}'
    error = statistics.stdev(values) / len(values) ** 0.5
    reach = float(student.ppf(0.975, len(values) - 1)) * error
    return f'{mean:+.1f} [{mean - reach:+.1f}, {mean + reach:+.1f}]'


def _figures(
    protocols: Sequence[str], results: Iterable[dict]
) -> dict[str, str]:
    """Heading -> key of the figures that are shown."""
    figures = {
        f'{name} {figure}': f'{name}/{figure}'
        for name in protocols
        for figure in ('mAP', 'top-1')
    }
    if any('det/AP' in result['figures'] for result in results):
        figures.update({'detection AP': 'det/AP', 'recall': 'det/recall'})
    return figures


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table whose first line is its heading."""
    head, *rest = ('| ' + ' | '.join(cells) + ' |' for cells in lines)
    return '\n'.join([head, '| --- ' * len(lines[0]) + '|', *rest])


def spread(results: Sequence[dict], key: str) -> str:
    """Cell of a table, in percent; 'not run' without a result."""
    if not results:
        return 'not run'
    return mean_and_deviation([result['figures'] for result in results], key)


def mean_and_deviation(figures: Sequence[dict], key: str) -> str:
    """Cell of a table, in percent; '-' if no run has the figure."""
    values = [100 * found[key] for found in figures if key in found]
    if not values:
        return '-'
    cell = f'{statistics.mean(values):.1f}'
    if len(values) > 1:
        cell += f' ± {statistics.stdev(values):.1f}'
    return cell
