"""Score a person search: every query against every box of its gallery.

Symbols used in this file:
    I   images of the test set
    M   detections of all images together, after the score cut
    Q   queries of the test set
    D   size of an embedding
    n   queries of one protocol

The protocol is that of Xiao et al., "Joint Detection and Identification
Feature Learning for Person Search", CVPR 2017, with the choices spelled out
in ``docs/evaluation.md``. One matrix product compares a block of queries with
all detections, whatever the galleries; each protocol then reads its share.

Similarities are exact. Embeddings are rounded to multiples of 2**-26, so the
products of a dot product are multiples of 2**-52 and, for rows of unit length,
no partial sum reaches 2: float64 holds every one of them without rounding.
Hence no order of summation, block size, thread count or batch can change a
similarity, and equal embeddings tie exactly.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mmps.structures import Protocol, Query

from .features import Boxes, iou
from .galleries import Positives, candidates, listings

TOP_K = (1, 5, 10)
#: Queries per matrix product; changes memory, never a result.
BLOCK = 256

Revise = Callable[[int, np.ndarray, np.ndarray], np.ndarray]


def on_grid(embeddings: np.ndarray) -> np.ndarray:
    """Round to multiples of 2**-26, as float64, for exact dot products."""
    scaled = np.multiply(embeddings, 2.0**26, dtype=np.float64)
    return np.multiply(np.rint(scaled, out=scaled), 2.0**-26, out=scaled)


class QueryScore(NamedTuple):
    """What one query found.

    Attributes:
        average_precision: Times recall, in [0, 1].
        rank: Of the first true positive, from 1, negatives first among
            equals; 0 if there is none.
        num_gt: Gallery entries that show the person.
        num_found: True positives.
    """

    average_precision: float
    rank: int
    num_gt: int
    num_found: int


@dataclass(frozen=True, eq=False)
class SearchScore:
    """What the queries of a protocol found; ratios are derived from these.

    Attributes: as those of ``QueryScore``, each (n,), in protocol order.
    """

    average_precision: np.ndarray
    rank: np.ndarray
    num_gt: np.ndarray
    num_found: np.ndarray

    def summary(self) -> dict[str, float]:
        """Means over the queries that have a positive, and all counts.

        The means are NaN if no query has one.
        """
        scored = self.num_gt > 0
        ap, rank = self.average_precision[scored], self.rank[scored]
        some = bool(scored.any())
        figures = {'mAP': float(ap.mean()) if some else float('nan')}
        for k in TOP_K:
            hits = (rank > 0) & (rank <= k)
            figures[f'top-{k}'] = float(hits.mean()) if some else float('nan')
        figures['queries'] = len(scored)
        figures['gt'] = int(self.num_gt.sum())
        figures['found'] = int(self.num_found.sum())
        figures['skipped'] = int((~scored).sum())
        return figures


def average_precision(
    candidates: np.ndarray, matched: np.ndarray, num_gt: int
) -> float:
    """Area under the step-wise precision-recall curve, times recall.

        1 / num_gt * sum over true positives t of
            #{true positives with s >= s_t} / #{candidates with s >= s_t}

    which is scikit-learn's ``average_precision_score`` times
    ``len(matched) / num_gt``, ties included.

    Args:
        candidates: Scores of all candidates that score at least
            ``matched.min()``, in any order, the true positives among them.
        matched: Scores of the true positives.
        num_gt: What could have been found.
    """
    if not len(matched):
        return 0.0
    return float(precisions(candidates, matched).sum() / num_gt)


def precisions(candidates: np.ndarray, matched: np.ndarray) -> np.ndarray:
    """Precision at each true positive, the lowest score first.

    Args: as of ``average_precision``.
    """
    falling, hits = -np.sort(-candidates), np.sort(matched)
    num_hits = len(hits) - np.searchsorted(hits, hits)
    num_candidates = np.searchsorted(-falling, -hits, side='right')
    return num_hits / num_candidates


def score_query(
    similarity: np.ndarray, matched: np.ndarray, num_gt: int
) -> QueryScore:
    """Counts of one query.

    Args:
        similarity: Of all candidates of the gallery, in any order.
        matched: Similarities of the true positives among them.
        num_gt: Gallery entries that show the person.
    """
    if not len(matched):
        return QueryScore(0.0, 0, num_gt, 0)
    best = matched.max()
    above = similarity[similarity >= matched.min()]
    ahead = np.count_nonzero(above >= best)
    rank = ahead - np.count_nonzero(matched == best) + 1
    ap = average_precision(above, matched, num_gt)
    return QueryScore(ap, rank, num_gt, len(matched))


def score_search(
    boxes: Boxes,
    query_embeddings: np.ndarray,
    protocols: dict[str, Protocol],
    *,
    duplicates: str = 'seqnet',
    cws: bool = False,
    revise: Revise | None = None,
) -> dict[str, SearchScore]:
    """Score all protocols on one comparison of queries and detections.

    Args:
        boxes: Candidates, already cut by score.
        query_embeddings: (Q, D) of unit length.
        protocols: name -> protocol.
        duplicates: For a gallery that lists an image twice, 'seqnet' counts
            its ground truth twice and ranks its boxes once, with the box of
            the first listing; 'oim' counts both twice; 'unique' both once.
        cws: Confidence-weighted similarity: times the detection score.
        revise: Changes the similarities of one query in one gallery; called
            with the query's number, its similarity to all M detections and
            the ascending rows of those in its gallery.
    """
    tasks = defaultdict(list)
    positives, scores = {}, {}
    for name, protocol in protocols.items():
        positives[name] = Positives.find(name, boxes, protocol, duplicates)
        scores[name] = [None] * len(protocol.queries)
        for position, query in enumerate(np.asarray(protocol.queries)):
            tasks[int(query)].append((name, position))
    wanted = sorted(tasks)
    gallery_side = on_grid(boxes.embeddings).T
    for start in range(0, len(wanted), BLOCK):
        block = wanted[start : start + BLOCK]
        if len(boxes):
            similarity = on_grid(query_embeddings[block]) @ gallery_side
        else:
            similarity = np.zeros((len(block), 0))
        if cws:
            similarity *= boxes.scores
        for query, row in zip(block, similarity, strict=True):
            for name, position in tasks[query]:
                gallery = protocols[name].galleries[position]
                listed = listings(name, position, gallery, boxes.num_images)
                rows = candidates(listed, boxes, duplicates)
                values = row
                if revise is not None:
                    values = revise(query, row, np.unique(rows))
                matched = positives[name].matched(position, values)
                num_gt = int(positives[name].num_gt[position])
                scores[name][position] = score_query(
                    values[rows], matched, num_gt
                )
    return {name: _collect(rows) for name, rows in scores.items()}


def _collect(scores: list[QueryScore]) -> SearchScore:
    columns = list(zip(*scores, strict=True)) or [(), (), (), ()]
    kinds = (np.float64, np.int64, np.int64, np.int64)
    return SearchScore(
        *(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True))
    )


def detected_queries(
    boxes: Boxes, queries: tuple[Query, ...], query_embeddings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of the detections that lie best on the query boxes.

    Args:
        boxes: Detections, already cut by score.
        queries: Q queries.
        query_embeddings: (Q, D) of the annotated boxes, kept where no
            detection overlaps.

    Returns:
        (Q, D) embeddings and (Q,) bool, True where the annotated box stayed.
    """
    chosen = query_embeddings.copy()
    kept = np.ones(len(queries), dtype=bool)
    for number, query in enumerate(queries):
        rows = boxes.of(query.image)
        overlap = iou(boxes.bboxes[rows], query.bbox)
        if len(overlap) and overlap.max() > 0:
            chosen[number] = boxes.embeddings[rows][overlap.argmax()]
            kept[number] = False
    return chosen, kept
