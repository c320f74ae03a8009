"""What keeps people for months, and is searched as exactly as an index.

Symbols used in this file:
    M   people in the store
    D   size of an embedding

A store finds candidates with its own arithmetic, in float32; which of them
are first, and in which order, is decided by the similarity that
``GalleryIndex`` uses. A store whose own search looks at everybody (``exact``)
so returns the very list that an index of the same people returns.

A store holds personal data, as an index does (``gallery_index.py``).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmps.evaluation.features import Boxes

from .gallery_index import (
    GalleryIndex,
    check_network,
    check_top,
    checked_query,
    exact_similarity,
    rounding_error,
)
from .matches import Match, Source
from .where import Where

#: Candidates that are fetched beyond ``top`` at first. Twice as many are
#: fetched again as long as they do not suffice.
MARGIN = 32


class Candidates(NamedTuple):
    """The people whom a store finds most similar, best first.

    Attributes:
        sources: k, where the picture of each comes from.
        positions: (k,) int64, number of the picture, in the order of adding.
        numbers: (k,) int64, place of the person in the picture, from 0.
        bboxes: (k, 4) float32.
        scores: (k,) float32.
        embeddings: (k, D) float32.
        similarity: (k,) float, the store's own, falling; at most
            ``GalleryStore.error`` away from the exact one.
    """

    sources: Sequence[Source]
    positions: np.ndarray
    numbers: np.ndarray
    bboxes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray
    similarity: np.ndarray


class GalleryStore(ABC):
    """People of one network that can be added, searched and deleted.

    Attributes:
        network: Fingerprint of the network that found them.
        det_thr: Detections below this score are not in it.
        dims: D.
        exact: Whether a search looks at everybody that ``where`` allows.
            Otherwise (an index for approximate search) it may miss some.
    """

    network: str
    det_thr: float
    dims: int
    exact: bool

    @abstractmethod
    def __len__(self) -> int:
        """M."""

    @abstractmethod
    def add(self, sources: Sequence[Source], boxes: Boxes) -> None:
        """Add the people of pictures, all of them or, on failure, none.

        Args:
            sources: I, where each picture comes from.
            boxes: Of the I pictures, with embeddings.
        """

    @abstractmethod
    def candidates(
        self, query: np.ndarray, num: int, where: Where | None = None
    ) -> Candidates:
        """The ``num`` most similar people, by the store's own arithmetic.

        Args:
            query: (D,) float32 of unit length.
            num: At least 1. Fewer are returned only if there are no more.
            where: Those that are looked at; all for None.
        """

    @abstractmethod
    def delete(self, where: Where) -> int:
        """Delete people for good; how many they were."""

    @property
    def error(self) -> float:
        """How far the store's own similarity may lie from the exact one.

        That of a float32 dot product, and of two roundings more, for a store
        that keeps a distance, such as 1 - product.
        """
        return rounding_error(self.dims) + 2.0**-22

    def check_maker(self, network: str, det_thr: float) -> None:
        """Refuse to be searched for what another network has embedded.

        Raises:
            ValueError: Another network made it, or ``det_thr`` is lower than
                that of the store. A higher one is a ``min_score``.
        """
        check_network('the archive', self.network, network)
        if det_thr < self.det_thr:
            raise ValueError(
                'the archive holds detections with a score of '
                f'{self.det_thr:g} and more, asked for are {det_thr:g}'
            )

    def search(
        self,
        embedding: np.ndarray,
        top: int | None = 10,
        where: Where | None = None,
    ) -> list[Match]:
        """The most similar people, equals in the order of adding.

        Candidates are fetched until nobody else can be among the first
        ``top``: whoever is not fetched is no more similar than the last
        candidate, but for ``error``.

        Args:
            embedding: (D,) of unit length.
            top: How many; all for None, and then all are in memory.
            where: Those that are looked at; all for None.

        Raises:
            ValueError: A query of another length, or ``top`` below 1.
        """
        query = checked_query(embedding, self.dims)
        check_top(top)
        num = max(1, len(self)) if top is None else top + MARGIN
        while True:
            found = self.candidates(query, num, where)
            exact = exact_similarity(found.embeddings, query)
            order = np.lexsort((found.numbers, found.positions, -exact))[:top]
            if top is None or len(exact) < num:
                break
            if found.similarity[-1] + self.error < exact[order[-1]]:
                break
            num *= 2
        return [
            Match(
                found.sources[row],
                int(found.positions[row]),
                tuple(found.bboxes[row].tolist()),
                float(exact[row]),
                float(found.scores[row]),
            )
            for row in order
        ]


def best_pictures(
    gallery: GalleryIndex | GalleryStore,
    embedding: np.ndarray,
    num: int,
    where: Where | None = None,
) -> dict[int, Source]:
    """The pictures with the most similar people, best first.

    Args:
        gallery: Is searched.
        embedding: (D,) of unit length.
        num: How many pictures.
        where: People that are looked at; all for None.

    Returns:
        Position of a picture -> where it comes from.
    """
    top = 4 * num
    while True:
        matches = gallery.search(embedding, top, where)
        pictures = {}
        for match in matches:
            pictures.setdefault(match.position, match.source)
        if len(pictures) >= num or len(matches) < top:
            return dict(list(pictures.items())[:num])
        top *= 4
