"""Context bipartite graph matching (CBGM): who stands beside the query.

Symbols used in this file:
    M   detections of all images together, after the score cut
    k1  gallery images whose similarities are revised
    k2  people of the query's image that give context

Source: Li and Miao, "Sequential End-to-end Network for Efficient Person
Search", AAAI 2021, arXiv 2103.10148. Written from the description: in the k1
gallery images most similar to the query, the query and k2 people around it
are matched one to one with the detections so that the total similarity is
largest, and the detection that the query gets takes that total.

Choices of ours, where the description leaves room:

- context: the k2 detections of the query's image with the highest score that
  overlap the query box by less than ``SAME`` (those are the query itself);
- the k1 images are ranked by their most similar detection, the lower image
  index first among equals, each image once however often it is listed;
- an image with fewer detections than people to match leaves someone out; if
  that is the query, its similarities stay as they are;
- of several best matchings, the one that SciPy returns.
"""

import math

import numpy as np
from scipy.optimize import linear_sum_assignment

from mmps.evaluation.features import Boxes, iou
from mmps.evaluation.search import on_grid
from mmps.structures import Query

#: A detection that overlaps the query box this much is the query itself.
SAME = 0.5


class ContextMatching:
    """Revises the similarities of a query; see ``search.score_search``.

    Args:
        boxes: Detections, already cut by score.
        queries: Of the test set.
        k1: Gallery images to revise, >= 1; paper: CUHK-SYSU 10, PRW 30.
        k2: People of context, >= 1; paper: CUHK-SYSU 3, PRW 4.
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
        """Return (M,) similarities, revised in the k1 best images.

        Args:
            query: Its number.
            similarity: (M,) of the query to all detections; not changed.
            rows: Ascending rows of the detections in the gallery.
        """
        revised = similarity.copy()
        around = self.context(query)
        for image in best_images(similarity, rows, self.boxes, self.k1):
            part = self.boxes.of(image)
            graph = np.vstack(
                [
                    similarity[None, part],
                    self.embeddings[around] @ self.embeddings[part].T,
                ]
            )
            partner, total = match_query(graph)
            if partner is not None:
                revised[part.start + partner] = total
        return revised

    def context(self, query: int) -> np.ndarray:
        """Rows of the detections that stand beside a query, at most k2."""
        image, bbox = self.queries[query].image, self.queries[query].bbox
        part = self.boxes.of(image)
        others = np.flatnonzero(iou(self.boxes.bboxes[part], bbox) < SAME)
        rows = part.start + others
        falling = np.argsort(-self.boxes.scores[rows], kind='stable')
        return rows[falling[: self.k2]]


def best_images(
    similarity: np.ndarray, rows: np.ndarray, boxes: Boxes, k1: int
) -> np.ndarray:
    """The k1 images whose best detection is most similar to the query."""
    if not len(rows):
        return np.zeros(0, np.int64)
    image = boxes.image[rows]
    starts = np.flatnonzero(np.diff(image, prepend=-1))
    best = np.maximum.reduceat(similarity[rows], starts)
    return image[starts][np.argsort(-best, kind='stable')[:k1]]


def match_query(graph: np.ndarray) -> tuple[int | None, float]:
    """Match people with detections for the largest total similarity.

    Args:
        graph: (people, detections) similarities; the query is row 0.

    Returns:
        The query's detection, None if it got none, and the total.
    """
    people, found = linear_sum_assignment(graph, maximize=True)
    partner = int(found[0]) if len(people) and people[0] == 0 else None
    return partner, math.fsum(graph[people, found])
