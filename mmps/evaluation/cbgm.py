"""Context bipartite graph matching (CBGM): who stands beside the query.

Symbols used in this file:
    M   detections of all images together, after the score cut
    k1  bounds the gallery images whose similarities are revised
    k2  bounds the people of the query's image that are matched

Source: Li and Miao, "Sequential End-to-end Network for Efficient Person
Search", AAAI 2021, arXiv 2103.10148, and what their program does, which is
not all that the paper says: in some gallery images the query and people
around it are matched one to one with the detections so that the total
similarity is largest, and the detection that the query gets takes

    variant 'published'   the largest similarity of a matched pair, be it the
                          query's or a neighbour's
    variant 'sum'         the total, as the paper's text reads

Choices where they leave room are listed in ``docs/evaluation.md``.
"""

import math

import numpy as np
from scipy.optimize import linear_sum_assignment

from mmps.structures import Query

from .features import Boxes, iou
from .search import on_grid

#: A detection that overlaps the query box this much is the query itself.
SAME = 0.5


class ContextMatching:
    """Revises the similarities of a query; see ``search.score_search``.

    As the published program: k1 counts detections, k2 the query too.

    Args:
        boxes: Detections, already cut by score.
        queries: All Q queries of the test set, in the order of their numbers.
        k1: The images of the k1 most similar detections of the gallery are
            revised, >= 1; paper: CUHK-SYSU 10, PRW 30.
        k2: People that are matched, the query among them, >= 1; paper:
            CUHK-SYSU 3, PRW 4. 1 changes nothing.
    """

    def __init__(
        self, boxes: Boxes, queries: tuple[Query, ...], *, k1: int, k2: int
    ) -> None:
        self.boxes = boxes
        self.queries = queries
        self.k1 = k1
        self.k2 = k2
        self.embeddings = on_grid(boxes.embeddings)

    def __call__(
        self, query: int, similarity: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        """Return (M,) similarities, revised in some images of the gallery.

        Args:
            query: Position of the query in ``queries``.
            similarity: (M,) of the query to all detections; not changed.
            rows: Ascending rows of the detections in the gallery.
        """
        revised = similarity.copy()
        around = self.context(query)
        for image in self.images(similarity, rows):
            part = self.boxes.of(image)
            graph = np.vstack(
                [
                    similarity[None, part],
                    self.embeddings[around] @ self.embeddings[part].T,
                ]
            )
            partner, matched = match_query(graph)
            if partner is not None:
                revised[part.start + partner] = self.value(matched)
        return revised

    def images(self, similarity: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Images of the k1 detections that are most similar to the query.

        Of equal detections the last ones of the test set.
        """
        values = similarity[rows]
        if len(rows) > self.k1:
            last = np.partition(values, -self.k1)[-self.k1]
            above = np.flatnonzero(values > last)
            equal = np.flatnonzero(values == last)
            equal = equal[len(above) - self.k1 :]  # at least one
            rows = rows[np.concatenate([above, equal])]
        return np.unique(self.boxes.image[rows])

    def context(self, query: int) -> np.ndarray:
        """Rows of the people beside a query that are matched with it.

        The query is the first of k2; then come the detections of its image by
        falling score, without those that a non-maximum suppression would take
        away for it (an IoU with it above ``SAME``).
        """
        rows, overlap = self._own_image(query)
        return rows[overlap <= SAME][: self.k2 - 1]

    def value(self, matched: np.ndarray) -> float:
        """The new similarity, of those of the matched pairs."""
        return float(matched.max())

    def _own_image(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the query's image by falling score; IoU with its box."""
        image, bbox = self.queries[query].image, self.queries[query].bbox
        part = self.boxes.of(image)
        falling = np.argsort(-self.boxes.scores[part], kind='stable')
        overlap = iou(self.boxes.bboxes[part], bbox)
        return part.start + falling, overlap[falling]


class SumMatching(ContextMatching):
    """The variant that takes the total similarity of the matching.

    Args:
        boxes: Detections, already cut by score.
        queries: All Q queries of the test set, in the order of their numbers.
        k1: Gallery images to revise, >= 1: those whose most similar
            detection is most similar.
        k2: People beside the query that are matched with it, >= 1.
    """

    def images(self, similarity: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The k1 images whose best detection is most similar to the query.

        Of equal images the first ones of the test set.
        """
        if not len(rows):
            return np.zeros(0, np.int64)
        image = self.boxes.image[rows]
        starts = np.flatnonzero(np.diff(image, prepend=-1))
        best = np.maximum.reduceat(similarity[rows], starts)
        return image[starts][np.argsort(-best, kind='stable')[: self.k1]]

    def context(self, query: int) -> np.ndarray:
        """The k2 detections of its image, by score, that are not the query.

        One that overlaps it by ``SAME`` or more is the query itself.
        """
        rows, overlap = self._own_image(query)
        return rows[overlap < SAME][: self.k2]

    def value(self, matched: np.ndarray) -> float:
        """The total; no order of the sum can change it."""
        return math.fsum(matched)


#: Variant -> what does it, and the suffix of its rows.
VARIANTS = {
    'published': (ContextMatching, '+cbgm'),
    'sum': (SumMatching, '+cbgm-sum'),
}


def match_query(graph: np.ndarray) -> tuple[int | None, np.ndarray]:
    """Match people with detections for the largest total similarity.

    Everybody of the smaller side is matched.

    Args:
        graph: (people, detections) similarities; the query is row 0.

    Returns:
        The query's detection, None if it got none, and the similarities of
        all matched pairs.
    """
    people, found = linear_sum_assignment(graph, maximize=True)
    partner = int(found[0]) if len(people) and people[0] == 0 else None
    return partner, graph[people, found]
