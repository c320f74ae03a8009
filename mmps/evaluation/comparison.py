"""Which of two runs is better, and how far queries leave that open.

Symbols used in this file:
    n   queries of one protocol whose gallery shows the person
    S   resamples

Two networks are tested on the same queries, and some queries are hard for
both; so the difference is taken query by query. A bootstrap estimates how far
its mean depends on the choice of queries: n queries are sampled from the n
with replacement, S times, and the middle 95 % of the S means are the interval
(percentile method; Efron and Tibshirani, "An Introduction to the Bootstrap",
1993, chapter 13). The interval does not cover another training of the same
networks, and assumes that queries are independent of each other.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .per_query import QueryLine

FIGURES = ('mAP', 'top-1')
CONFIDENCE = 0.95
RESAMPLES = 10_000
#: Average precisions that differ by no more are equal.
SAME = 1e-9
#: Numbers sampled at a time; changes memory, never a result.
BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class Paired:
    """Two runs, query by query.

    Attributes:
        protocol: Row of the result.
        average_precision: (2, n) of run A and of run B.
        hits: (2, n) bool, whether the best detection is right.
        skipped: Queries whose gallery does not show the person.
    """

    protocol: str
    average_precision: np.ndarray
    hits: np.ndarray
    skipped: int


class Difference(NamedTuple):
    """One figure of two runs; NaN without a query.

    Attributes:
        a: Figure of run A, in [0, 1].
        b: Figure of run B.
        difference: B minus A.
        low: End of the interval.
        high: Upper end of the interval.
    """

    a: float
    b: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs on one protocol.

    Attributes:
        paired: What was compared.
        figures: Each name of ``FIGURES`` -> its difference.
        won: Queries with a higher average precision in run B.
        lost: With a lower one.
        equal: The others.
        means: (2, S) differences of ``FIGURES`` of the resamples.
    """

    paired: Paired
    figures: dict[str, Difference]
    won: int
    lost: int
    equal: int
    means: np.ndarray

    def summary(self) -> dict:
        """Numbers alone, for a file."""
        return {
            'queries': self.paired.hits.shape[1],
            'skipped': self.paired.skipped,
            'won': self.won,
            'lost': self.lost,
            'equal': self.equal,
            **{name: d._asdict() for name, d in self.figures.items()},
        }


def pair_up(
    a: Sequence[QueryLine],
    b: Sequence[QueryLine],
    protocols: Sequence[str] | None = None,
) -> list[Paired]:
    """Put the lines of two runs side by side.

    Args:
        a: Query lines of run A, in any order.
        b: Query lines of run B.
        protocols: Rows to compare; all for None.

    Raises:
        ValueError: A run has no such row; the runs have other rows, or other
            queries in one, or other people in the galleries of a query.
    """
    rows_a, rows_b = _by_row(a), _by_row(b)
    if protocols is not None:
        for name in protocols:
            for run, rows in (('A', rows_a), ('B', rows_b)):
                if name not in rows:
                    raise ValueError(
                        f"run {run} has no row '{name}'; it has: "
                        f'{", ".join(rows) or "none"}'
                    )
        rows_a = {name: rows_a[name] for name in protocols}
        rows_b = {name: rows_b[name] for name in protocols}
    if rows_a.keys() != rows_b.keys():
        raise ValueError(
            'the runs have different rows: '
            + _only(rows_a, rows_b, lambda name: name)
            + '; choose rows that both have (--protocol)'
        )
    if not rows_a:
        raise ValueError('the runs have no query; there is nothing to compare')
    return [_paired(name, rows_a[name], rows_b[name]) for name in rows_a]


def _by_row(lines: Iterable[QueryLine]) -> dict[str, dict[tuple, QueryLine]]:
    """Row -> query -> line. A query that is asked twice is there twice."""
    rows: dict[str, dict[tuple, QueryLine]] = {}
    times = Counter()
    for line in lines:
        asked = (line.query, line.identity, line.image)
        times[line.protocol, asked] += 1
        key = (*asked, times[line.protocol, asked])
        rows.setdefault(line.protocol, {})[key] = line
    return rows


def _paired(
    name: str, a: dict[tuple, QueryLine], b: dict[tuple, QueryLine]
) -> Paired:
    if a.keys() != b.keys():
        raise ValueError(
            f"the runs have different queries of '{name}': "
            + _only(a, b, _query_text)
        )
    for key, line in a.items():
        if line.num_gt != b[key].num_gt:
            raise ValueError(
                f"'{name}', {_query_text(key)}: {line.num_gt} gallery entries "
                f'show the person in run A, {b[key].num_gt} in run B; the '
                'galleries differ'
            )
    scored = [key for key in sorted(a) if a[key].num_gt]
    lines = [[run[key] for key in scored] for run in (a, b)]
    ap = [[line.average_precision for line in run] for run in lines]
    hits = [[line.rank == 1 for line in run] for run in lines]
    return Paired(
        name,
        np.array(ap, np.float64).reshape(2, -1),
        np.array(hits, bool).reshape(2, -1),
        len(a) - len(scored),
    )


def _query_text(key: tuple) -> str:
    number, identity, image, _ = key
    return f"query {number} ('{identity}' in '{image}')"


def _only(a: dict, b: dict, text) -> str:
    """What only one of two dicts has, at most three names of each."""
    parts = []
    for run, own, other in (('A', a, b), ('B', b, a)):
        names = [text(key) for key in own if key not in other]
        if names:
            more = f' and {len(names) - 3} more' if len(names) > 3 else ''
            parts.append(f'only {run} has {", ".join(names[:3])}{more}')
    return '; '.join(parts)


def compare(
    paired: Paired, resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Compare two runs on one protocol.

    Args:
        paired: Queries that both runs have, from ``pair_up``.
        resamples: S, >= 1.
        seed: Seed of the resampling; the same seed gives the same interval.
    """
    values = np.stack([paired.average_precision, paired.hits])  # (2, 2, n)
    differences = values[:, 1] - values[:, 0]
    means = resampled_means(differences, resamples, seed)
    figures = {}
    for name, (a, b), mean in zip(FIGURES, values, means, strict=True):
        ends = interval(mean)
        a, b = (float(v.mean()) if len(v) else float('nan') for v in (a, b))
        figures[name] = Difference(a, b, b - a, *ends)
    gain = differences[0]
    won, lost = int((gain > SAME).sum()), int((gain < -SAME).sum())
    equal = len(gain) - won - lost
    return Comparison(paired, figures, won, lost, equal, means)


def resampled_means(
    differences: np.ndarray, resamples: int, seed: int
) -> np.ndarray:
    """Means over queries that are sampled with replacement.

    Args:
        differences: (f, n) of several figures; a draw of queries serves all.
        resamples: S, >= 1.
        seed: Seed of the resampling.

    Returns:
        (f, S); NaN for n = 0.
    """
    if resamples < 1:
        raise ValueError(f'resamples must be >= 1, got {resamples}')
    num = differences.shape[1]
    means = np.full((len(differences), resamples), np.nan)
    if not num:
        return means
    rng = np.random.default_rng(seed)
    step = max(1, BLOCK // num)
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        drawn = rng.integers(num, size=(stop - start, num))
        for row, values in zip(means, differences, strict=True):
            row[start:stop] = values[drawn].mean(axis=1)
    return means


def interval(
    means: np.ndarray, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The middle share of some numbers, by linear interpolation.

    Args:
        means: (S,).
        confidence: The share, in (0, 1).
    """
    outside = (1 - confidence) / 2
    low, high = np.quantile(means, [outside, 1 - outside])
    return float(low), float(high)
