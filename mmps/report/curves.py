"""Curves behind the figures: each has the figure as a point or as its area.

Symbols used in this file:
    n   queries of one protocol
    S   steps of a curve
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmps.evaluation.detection import DetectionScore
from mmps.evaluation.rankings import Ranking
from mmps.evaluation.search import precisions


class Steps(NamedTuple):
    """A precision-recall curve that is constant between its steps.

    Attributes:
        recall: (S,) rising; precision holds from the recall before, 0 at
            first, up to this one.
        precision: (S,) in [0, 1].
    """

    recall: np.ndarray
    precision: np.ndarray

    def area(self) -> float:
        """Under the curve; nothing is found beyond its last step."""
        widths = np.diff(self.recall, prepend=0.0)
        return float((widths * self.precision).sum())

    def at(self, recall: np.ndarray) -> np.ndarray:
        """Precision at any recall in (0, 1]; 0 beyond the last step."""
        step = np.searchsorted(self.recall, recall, side='left')
        return np.append(self.precision, 0.0)[step]


def cumulative_matches(ranks: Sequence[int], length: int) -> np.ndarray:
    """Share of the queries whose first true positive is among the first k.

    Args:
        ranks: (n,) of the first true positive, from 1; 0 if there is none.
            Queries without a positive in their gallery are to be left out.
        length: Largest k.

    Returns:
        (length,) for k = 1, 2, ...; top-k of the result. NaN for no query.
    """
    ranks = np.asarray(ranks, np.int64)
    if not len(ranks):
        return np.full(length, np.nan)
    counts = np.bincount(ranks[ranks > 0], minlength=length + 1)
    return np.cumsum(counts[1 : length + 1]) / len(ranks)


def search_curve(rankings: Sequence[Ranking]) -> Steps:
    """Mean over the queries of precision against recall.

    The area of the curve of one query is its average precision, so that of
    their mean is mAP. A query has precision 0 beyond what it found; those
    without a positive in their gallery do not count.

    Args:
        rankings: One ranking for every query of a protocol.
    """
    curves = [_query_curve(r) for r in rankings if r.num_gt]
    if not curves:
        return Steps(np.zeros(0), np.zeros(0))
    recall = np.unique(np.concatenate([curve.recall for curve in curves]))
    total = np.zeros(len(recall))
    for curve in curves:
        total += curve.at(recall)
    return Steps(recall, total / len(curves))


def _query_curve(ranking: Ranking) -> Steps:
    matched = ranking.similarity[ranking.is_right]
    falling = precisions(ranking.similarity, matched)[::-1]
    return Steps(
        np.arange(1, len(matched) + 1) / ranking.num_gt,
        falling,
    )


def detection_curve(score: DetectionScore) -> Steps:
    """Precision against recall of all detections; the area is det/AP.

    One step for each score that a true positive has.
    """
    matched = score.scores[score.is_match]
    if not len(matched):
        return Steps(np.zeros(0), np.zeros(0))
    falling, counts = np.unique(-matched, return_counts=True)
    hits = np.cumsum(counts)
    boxes = np.searchsorted(np.sort(-score.scores), falling, side='right')
    return Steps(hits / score.num_gt, hits / boxes)
