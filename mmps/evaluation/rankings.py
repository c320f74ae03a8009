"""What each query ranked first, what of it was right, and what was missed.

Symbols used in this file:
    I   images of the test set
    M   detections of all images together, after the score cut
    Q   queries of the test set
    D   size of an embedding
    n   detections that the gallery of one query ranks
    E   entries of this gallery that a detection can find

The score needs none of this; it is for those who look at single queries and
at curves. A ranking yields the figures of ``search.score_search`` to the last
digit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from mmps.structures import Protocol, Query

from .features import Boxes, Features
from .galleries import Positives, candidates, listings
from .pairs import PairFindings, only
from .search import QueryScore, on_grid, score_query


@dataclass(frozen=True, eq=False)
class Ranking:
    """The gallery of one query, most similar first.

    Attributes:
        boxes: Detections that the query was compared with.
        rows: (n,) of ``boxes``, in falling similarity, wrong ones first
            among equals.
        similarity: (n,) to the query.
        is_right: (n,) bool, whether it is the true positive of its image.
        num_gt: Gallery entries that show the person.
        images: (E,) of the entries.
        bboxes: (E, 4) of the person there.
        places: (E,) of the true positive in the ranking, from 1; 0 where no
            detection lies on the person.
    """

    boxes: Boxes
    rows: np.ndarray
    similarity: np.ndarray
    is_right: np.ndarray
    num_gt: int
    images: np.ndarray
    bboxes: np.ndarray
    places: np.ndarray

    def score(self) -> QueryScore:
        """What the query counts in the score."""
        matched = self.similarity[self.is_right]
        return score_query(self.similarity, matched, self.num_gt)

    def missed(self, top: int) -> np.ndarray:
        """Entries that none of the first ``top`` detections finds.

        Those that were found further behind come first, in their order.
        """
        out = np.flatnonzero((self.places == 0) | (self.places > top))
        places = self.places[out]
        return out[np.lexsort((places, places == 0))]


def rank(
    boxes: Boxes,
    similarity: np.ndarray,
    name: str,
    protocol: Protocol,
    position: int,
    duplicates: str = 'seqnet',
) -> Ranking:
    """Rank the gallery of one query as the score does.

    Args:
        boxes: Detections after the score cut.
        similarity: (M,) of the query to all of them.
        name: Name of the protocol, for messages.
        protocol: Galleries.
        position: Which of them.
        duplicates: ``'seqnet'``, ``'oim'`` or ``'unique'``: how an image that
            a gallery lists twice counts, see ``search.score_search``.
    """
    gallery = protocol.galleries[position]
    listed = listings(name, position, gallery, boxes.num_images)
    rows = candidates(listed, boxes, duplicates)
    one_query = Protocol(np.zeros(1, np.int64), (gallery,))
    positives = Positives.find(name, boxes, one_query, duplicates)
    winners, found = positives.winners(0, similarity)
    # a row that is ranked twice is right as often as it finds an entry
    wins = np.bincount(winners, minlength=len(boxes))
    copy = np.arange(len(rows)) - np.searchsorted(rows, rows)
    right = copy < wins[rows]
    order = np.lexsort((right, -similarity[rows]))
    rows, right = rows[order], right[order]
    places = np.zeros(len(positives.images), np.int64)
    by_row = found[np.argsort(winners, kind='stable')]
    at = np.flatnonzero(right)
    places[by_row] = at[np.argsort(rows[at], kind='stable')] + 1
    return Ranking(
        boxes,
        rows,
        similarity[rows],
        right,
        int(positives.num_gt[0]),
        positives.images,
        positives.bboxes,
        places,
    )


class SearchedQuery(NamedTuple):
    """One line of a list of queries that is ordered by success.

    Attributes:
        position: In the protocol.
        score: What it counts.
    """

    position: int
    score: QueryScore


@dataclass(frozen=True, eq=False)
class Search:
    """A search that has been run; any ranking of it can be asked for.

    Attributes:
        image_names: I names.
        queries: Q queries.
        protocols: name -> protocol, all of whose queries were run.
        found: Query -> detections after the score cut, and the similarity
            (M,) of the query to each.
        duplicates: ``'seqnet'``, ``'oim'`` or ``'unique'``: how an image that
            a gallery lists twice counts, see ``search.score_search``.
    """

    image_names: Sequence[str]
    queries: Sequence[Query]
    protocols: Mapping[str, Protocol]
    found: Callable[[int], tuple[Boxes, np.ndarray]]
    duplicates: str = 'seqnet'

    def ranking(self, name: str, position: int) -> Ranking:
        """Of one query of a protocol."""
        protocol = self.protocols[name]
        boxes, similarity = self.found(int(protocol.queries[position]))
        return rank(
            boxes, similarity, name, protocol, position, self.duplicates
        )

    def worst_first(self, name: str) -> list[SearchedQuery]:
        """Queries of a protocol by rising average precision.

        Among equals in the order of the protocol; queries whose gallery does
        not show the person have no precision and are left out.
        """
        scores = [
            SearchedQuery(position, self.ranking(name, position).score())
            for position in range(len(self.protocols[name].queries))
        ]
        return sorted(
            (line for line in scores if line.score.num_gt),
            key=lambda line: line.score.average_precision,
        )


def search_of_features(
    features: Features, det_thr: float = 0.5, duplicates: str = 'seqnet'
) -> Search:
    """The search by embeddings, as the standard rows score it.

    Args:
        features: Boxes and embeddings of all images and queries.
        det_thr: Detections below this score are not there.
        duplicates: ``'seqnet'``, ``'oim'`` or ``'unique'``: how an image that
            a gallery lists twice counts, see ``search.score_search``.
    """
    boxes = features.detections.above(det_thr)

    @cache  # most searches are never looked at
    def gallery_side() -> np.ndarray:
        return on_grid(boxes.embeddings)

    def found(query: int) -> tuple[Boxes, np.ndarray]:
        if not len(boxes):
            return boxes, np.zeros(0)
        asked = on_grid(features.query_embeddings[query])
        return boxes, gallery_side() @ asked

    return Search(
        features.image_names,
        features.queries,
        features.protocols,
        found,
        duplicates,
    )


def search_of_pairs(
    findings: Mapping[int, PairFindings],
    image_names: Sequence[str],
    queries: Sequence[Query],
    protocols: Mapping[str, Protocol],
    duplicates: str = 'seqnet',
) -> Search:
    """The search that was run pair by pair; queries not run are left out."""

    def found(query: int) -> tuple[Boxes, np.ndarray]:
        boxes = findings[query].boxes(len(image_names))
        return boxes, on_grid(boxes.embeddings)[:, 0]

    return Search(
        image_names,
        queries,
        {name: only(p, findings) for name, p in protocols.items()},
        found,
        duplicates,
    )
