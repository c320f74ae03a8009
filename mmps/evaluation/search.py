"""Score a person search: every query against every box of its gallery.

Symbols used in this file:
    I   images of the test set
    M   detections of all images together, after the score cut
    Q   queries of the test set
    K   gallery entries that show the person of a query
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

from mmps.evaluation.features import Boxes, iou
from mmps.structures import Gallery, Protocol, Query

#: What to do with an image that a gallery lists twice.
DUPLICATES = ('seqnet', 'oim', 'unique')
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
    falling, hits = -np.sort(-candidates), np.sort(matched)
    num_hits = len(hits) - np.searchsorted(hits, hits)
    num_candidates = np.searchsorted(-falling, -hits, side='right')
    return float((num_hits / num_candidates).sum() / num_gt)


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


def listings(
    name: str, position: int, gallery: Gallery, num_images: int
) -> np.ndarray:
    """(I,) how often a gallery lists each image.

    Raises:
        ValueError: The gallery names an image that does not exist, or shows
            the person in an image more often than it lists that image.
    """
    listed = np.bincount(gallery.images, minlength=num_images)
    shown = np.bincount(gallery.positives, minlength=num_images)
    if max(len(listed), len(shown)) > num_images:
        raise ValueError(
            f"protocol '{name}', gallery {position}: image "
            f'{max(len(listed), len(shown)) - 1} of {num_images} images'
        )
    if gallery.complement:
        listed = (listed == 0).astype(listed.dtype)
    if (shown > listed).any():
        image = int((shown > listed).argmax())
        raise ValueError(
            f"protocol '{name}', gallery {position}: image {image} is "
            f'{shown[image]} times a positive but {listed[image]} times in '
            'the gallery'
        )
    return listed


def candidates(
    listed: np.ndarray, boxes: Boxes, duplicates: str
) -> np.ndarray:
    """Ascending rows of the detections that a gallery ranks."""
    rows = np.flatnonzero((listed > 0)[boxes.image])
    if duplicates == 'oim':
        rows = np.repeat(rows, listed[boxes.image[rows]])
    return rows


@dataclass(frozen=True, eq=False)
class Positives:
    """The detections that lie on the person, for all galleries of a protocol.

    Which of them is the true positive of an image depends on the similarity:
    the most similar one.

    Attributes:
        num_gt: (n,) gallery entries that show the person.
        rows: Detections that overlap the person enough, gallery after
            gallery and entry after entry.
        entry: Same length; number of the gallery entry, rising.
        offsets: (n + 1,) cuts ``rows`` into galleries.
    """

    num_gt: np.ndarray
    rows: np.ndarray
    entry: np.ndarray
    offsets: np.ndarray

    @classmethod
    def find(
        cls, name: str, boxes: Boxes, protocol: Protocol, duplicates: str
    ) -> 'Positives':
        """Overlap the positives of all galleries with the detections."""
        num = len(protocol.galleries)
        counts = [len(g.positives) for g in protocol.galleries]
        gallery = np.repeat(np.arange(num), counts)
        image = _flat([g.positives for g in protocol.galleries], np.int64, ())
        bboxes = _flat([g.bboxes for g in protocol.galleries], float, (4,))
        sides = bboxes[:, 2:] - bboxes[:, :2]
        if len(image) != len(bboxes) or not (sides > 0).all():
            raise ValueError(
                f"protocol '{name}': a positive needs one box x1 y1 x2 y2 "
                f'with an area; got {len(image)} images, {len(bboxes)} boxes, '
                f'{np.count_nonzero(~(sides > 0).all(1))} without area'
            )
        first = np.arange(len(image))
        if duplicates != 'oim' and len(image):
            key = gallery * (image.max() + 1) + image
            first = np.sort(np.unique(key, return_index=True)[1])
        counted = gallery[first] if duplicates == 'unique' else gallery
        gallery, image, bboxes = gallery[first], image[first], bboxes[first]
        rows, entry = _rows_of(boxes, image)
        threshold = box_threshold(bboxes)
        near = iou(boxes.bboxes[rows], bboxes[entry]) >= threshold[entry]
        rows, entry = rows[near], entry[near]
        return cls(
            np.bincount(counted, minlength=num),
            rows,
            entry,
            np.searchsorted(gallery[entry], np.arange(num + 1)),
        )

    def matched(self, position: int, similarity: np.ndarray) -> np.ndarray:
        """Similarity of the true positive of each entry that has one."""
        part = slice(self.offsets[position], self.offsets[position + 1])
        entry = self.entry[part]
        if not len(entry):
            return np.zeros(0)
        starts = np.flatnonzero(np.diff(entry, prepend=-1))
        return np.maximum.reduceat(similarity[self.rows[part]], starts)


def box_threshold(bboxes: np.ndarray) -> np.ndarray:
    """IoU that a detection of each person needs: less for small people."""
    width, height = (bboxes[:, 2:] - bboxes[:, :2]).T
    return np.minimum(0.5, width * height / ((width + 10) * (height + 10)))


def _flat(parts: list, dtype: type, tail: tuple) -> np.ndarray:
    arrays = [np.asarray(p, dtype).reshape(-1, *tail) for p in parts]
    return np.concatenate(arrays or [np.zeros((0, *tail), dtype)])


def _rows_of(
    boxes: Boxes, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the boxes of several images, and which image each is for."""
    if len(images) and not 0 <= images.min() <= images.max() < (
        boxes.num_images
    ):
        raise ValueError(
            f'positives in image {images.min()} to {images.max()}, but there '
            f'are {boxes.num_images} images'
        )
    starts = boxes.offsets[images]
    counts = boxes.offsets[images + 1] - starts
    number = np.repeat(np.arange(len(images)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(number)) + (starts - before)[number], number


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
