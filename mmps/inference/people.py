"""What the networks of an inferencer have in common."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from mmps.datasets.clipping import clip

from .scenes import Scene


class People(NamedTuple):
    """The people of a picture, in falling score.

    Attributes:
        bboxes: (M, 4) float32 x1, y1, x2, y2 in original pixels.
        scores: (M,) float32.
        embeddings: (M, D) float32, rows of unit length.
    """

    bboxes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray

    def above(self, score: float) -> 'People':
        """Those with this score and more."""
        kept = self.scores >= score
        return People(*(part[kept] for part in self))


class SearchNetwork(Protocol):
    """A network with its preprocessing, ready for single pictures.

    ``Network`` runs on torch, ``OnnxNetwork`` on onnxruntime.

    Attributes:
        fingerprint: Name of all that embeddings and similarities depend on.
        det_thr: Score from which on a detection counts in its test.
        match_threshold: Similarity of a match, None if it was not measured.
        query_guided: Whether it looks at query and gallery picture together.
        note: What to say beside its results, None for nothing.
    """

    fingerprint: str
    det_thr: float
    match_threshold: float | None
    query_guided: bool
    note: str | None

    def read(self, scene: Scene) -> np.ndarray:
        """Pixels (H, W, 3) uint8 of a scene, blue green red."""

    def prepare(
        self, scene: Scene, box: Sequence | None = None
    ) -> dict[str, Any]:
        """What ``detect`` and, with a box, ``embed`` take of a picture.

        Its ``inputs`` have a ``shape``.

        Args:
            scene: Picture.
            box: x1, y1, x2, y2 of a person to embed, in original pixels; the
                part inside the image is taken.

        Raises:
            DatasetError: The file is no image, or one of a size that cannot
                be looked at (``mmps.datasets.pictures``).
            ValueError: The box has no area inside the image.
        """

    def embed(self, item: dict[str, Any]) -> np.ndarray:
        """Embedding (D,) float32 of the box of a prepared picture."""

    def detect(self, items: Sequence[dict[str, Any]]) -> list[People]:
        """People of pictures whose ``inputs`` have one shape."""


def inside(box: Sequence, height: int, width: int, path: str) -> list[float]:
    """The part of a query box inside its image.

    Args:
        box: x1, y1, x2, y2 in original pixels.
        height: Of the image.
        width: Of the image.
        path: What the image is called in messages.

    Raises:
        ValueError: Not four numbers, or no area inside the image.
    """
    values = np.asarray(box, np.float64)
    if values.shape != (4,):
        raise ValueError(
            f'the query box has shape {values.shape}, expected four numbers '
            'x1, y1, x2, y2'
        )
    clipped = clip(values.tolist(), height, width)
    if clipped is None:
        raise ValueError(
            f'{path}: the query box {values.tolist()} (x1 y1 x2 y2, original '
            'pixels) has no area in the image of '
            f'{width} x {height} pixels'
        )
    return clipped
