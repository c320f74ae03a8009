"""What pairs of a query and a gallery image yield, as plain arrays.

Symbols used in this file:
    I   images of the test set
    n   pairs
    M   boxes of all pairs together
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .features import Boxes, Features

#: Below every similarity of a pair, and further than two cosines are apart:
#: what a cascade did not run is ranked behind, by cosine.
_UNSEARCHED = -2.0


@dataclass(frozen=True, eq=False)
class PairFindings:
    """What one query has found.

    Attributes:
        images: (n,) int64, different; the gallery images that were run.
        counts: (n,) boxes in each.
        bboxes: (M, 4) in original pixels, image after image.
        scores: (M,) detection scores.
        similarity: (M,) any number, larger is more similar.
    """

    images: np.ndarray
    counts: np.ndarray
    bboxes: np.ndarray
    scores: np.ndarray
    similarity: np.ndarray

    def boxes(self, num_images: int) -> Boxes:
        """All of them in the layout of a test set, similarity as embedding."""
        order = np.argsort(self.images, kind='stable')
        rows = rows_of(starts_of(self.counts), self.counts, order)
        counts = np.zeros(num_images, np.int64)
        counts[self.images] = self.counts
        return Boxes(
            self.bboxes[rows],
            self.scores[rows],
            self.similarity[rows, None].astype(np.float64),
            np.concatenate([[0], np.cumsum(counts)]),
        )


@dataclass(frozen=True, eq=False)
class PairTable:
    """What pairs of several queries have found.

    Attributes:
        queries: (n,) query of each pair, as a number or an identity.
        images: (n,) its image.
        counts: (n,) int64 boxes in each.
        bboxes: (M, 4) float32 in original pixels, pair after pair.
        scores: (M,) float32 detection scores.
        similarity: (M,) float32, larger is more similar.
    """

    queries: np.ndarray
    images: np.ndarray
    counts: np.ndarray
    bboxes: np.ndarray
    scores: np.ndarray
    similarity: np.ndarray

    @cached_property
    def starts(self) -> np.ndarray:
        """(n,) first row of each pair."""
        return starts_of(self.counts)

    def take(self, pairs: np.ndarray) -> 'PairTable':
        """Some of the pairs, by their positions, in that order."""
        rows = rows_of(self.starts, self.counts, pairs)
        return PairTable(
            self.queries[pairs],
            self.images[pairs],
            self.counts[pairs],
            self.bboxes[rows],
            self.scores[rows],
            self.similarity[rows],
        )

    def above(self, threshold: float) -> 'PairTable':
        """The same pairs, boxes with a score >= threshold alone.

        They are those that the pairs would have yielded at that threshold:
        a box never suppresses one of a higher score.
        """
        kept = self.scores >= threshold
        before = np.concatenate([[0], np.cumsum(kept)])
        return PairTable(
            self.queries,
            self.images,
            before[self.starts + self.counts] - before[self.starts],
            self.bboxes[kept],
            self.scores[kept],
            self.similarity[kept],
        )

    def of_query(self, query: int) -> PairFindings:
        """Pairs of one query; images in the order of the table."""
        own = self.take(np.flatnonzero(self.queries == query))
        return PairFindings(
            own.images, own.counts, own.bboxes, own.scores, own.similarity
        )


def starts_of(counts: np.ndarray) -> np.ndarray:
    """(n,) first row of each pair, from the number of its rows."""
    return np.cumsum(counts) - counts


def rows_of(
    starts: np.ndarray, counts: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """Rows of the boxes of some pairs, pair after pair.

    Args:
        starts: (n,) first row of every pair.
        counts: (n,) rows of every pair.
        pairs: Positions of pairs.
    """
    wanted = counts[pairs]
    ends = np.cumsum(wanted)
    total = int(ends[-1]) if len(ends) else 0
    shift = np.repeat(starts[pairs] - (ends - wanted), wanted)
    return (np.arange(total) + shift).astype(np.int64)


def stack(tables: Sequence[PairTable]) -> PairTable:
    """Put tables one behind another."""
    none = [np.zeros(0, np.int64)]
    return PairTable(
        *(
            np.concatenate([getattr(table, part) for table in tables] or none)
            for part in ('queries', 'images', 'counts')
        ),
        np.concatenate(
            [np.zeros((0, 4), np.float32), *(t.bboxes for t in tables)]
        ),
        *(
            np.concatenate(
                [np.zeros(0, np.float32), *(getattr(t, part) for t in tables)]
            )
            for part in ('scores', 'similarity')
        ),
    )


def collect(
    queries: Sequence[int], images: Sequence[int], results: Iterable
) -> PairTable:
    """Put the results of pairs together.

    Args:
        queries: Query of each pair.
        images: Image of each pair.
        results: Of each pair, with tensors ``bboxes`` (M, 4), ``scores`` (M,)
            and ``similarity`` (M,).
    """
    results = list(results)

    def rows(name: str, shape: tuple) -> np.ndarray:
        parts = [
            getattr(result, name).detach().cpu().float().numpy()
            for result in results
        ]
        return np.concatenate([np.zeros(shape, np.float32), *parts])

    return PairTable(
        np.asarray(queries, np.int64),
        np.asarray(images, np.int64),
        np.array([len(result.scores) for result in results], np.int64),
        rows('bboxes', (0, 4)),
        rows('scores', (0,)),
        rows('similarity', (0,)),
    )


def by_query(
    table: PairTable, wanted: Mapping[int, np.ndarray]
) -> dict[int, PairFindings]:
    """Findings of each query; of a pair that is there twice, the first.

    Args:
        table: In any order.
        wanted: Query -> (k,) ascending images; other pairs are left out.
    """
    order = np.lexsort((table.images, table.queries))  # stable
    queries, images = table.queries[order], table.images[order]
    findings = {}
    for query, of_query in wanted.items():
        start, stop = np.searchsorted(queries, [query, query + 1])
        there, first = np.unique(images[start:stop], return_index=True)
        kept = order[start + first[np.isin(there, of_query)]]
        own = table.take(kept)
        findings[query] = PairFindings(
            own.images, own.counts, own.bboxes, own.scores, own.similarity
        )
    return findings


def cosines(plain: Features, query: int, image: int) -> np.ndarray:
    """Of a query and the detections of an image, each embedded on its own."""
    rows = plain.detections.of(image)
    embeddings = plain.detections.embeddings[rows].astype(np.float64)
    return embeddings @ plain.query_embeddings[query].astype(np.float64)


def most_similar(
    plain: Features, query: int, images: np.ndarray, num: int
) -> np.ndarray:
    """The ``num`` images whose best detection is most similar, ascending.

    All of them if there are no more. Equal ones count in the order given,
    images without a detection last.
    """
    if len(images) <= num:
        return images
    best = [cosines(plain, query, i).max(initial=-np.inf) for i in images]
    order = np.argsort(-np.array(best), kind='stable')
    return np.sort(images[order[:num]])


def append_unsearched(
    findings: PairFindings, query: int, images: np.ndarray, plain: Features
) -> PairFindings:
    """Rank the images that were not run behind all that were, by cosine.

    Args:
        findings: What was found in the images that were run with the query.
        query: Position in metainfo['queries'].
        images: All that the query is searched in.
        plain: Boxes and embeddings of all images without a query.
    """
    rest = np.setdiff1d(images, findings.images)
    rows = [plain.detections.of(int(image)) for image in rest]
    more = [
        (
            plain.detections.bboxes[part],
            # with cws too they stay behind, and in their order
            np.ones_like(plain.detections.scores[part]),
            cosines(plain, query, int(image)) + _UNSEARCHED,
        )
        for part, image in zip(rows, rest, strict=True)
    ]
    columns = zip(*more, strict=True) if more else ((), (), ())
    bboxes, scores, similarity = (
        np.concatenate([own, *parts])
        for own, parts in zip(
            (findings.bboxes, findings.scores, findings.similarity),
            columns,
            strict=True,
        )
    )
    return PairFindings(
        np.concatenate([findings.images, rest]),
        np.concatenate(
            [findings.counts, [len(part[1]) for part in more]]
        ).astype(np.int64),
        bboxes,
        scores,
        similarity,
    )
