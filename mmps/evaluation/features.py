"""What one pass over a test set leaves behind: plain arrays, checked once.

Symbols used in this file:
    I   images of the test set
    M   boxes of all images together
    Q   queries of the test set
    D   size of an embedding

Everything that is scored, dumped or read back is a ``Features``; to make one
is to check it, so the arithmetic behind it need not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mmps.structures import Protocol, Query

#: How far the length of an embedding may lie from 1.
LENGTH_TOLERANCE = 1e-3


def iou(bboxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union, continuous boxes (no + 1), in float64.

    Args:
        bboxes: (..., 4) x1 y1 x2 y2.
        others: (..., 4), broadcast against ``bboxes``.

    Returns:
        (...) in [0, 1]; 0 for two boxes without area.
    """
    a = np.asarray(bboxes, np.float64)
    b = np.asarray(others, np.float64)
    corner = np.minimum(a[..., 2:], b[..., 2:])
    sides = (corner - np.maximum(a[..., :2], b[..., :2])).clip(min=0)
    inter = sides[..., 0] * sides[..., 1]
    union = _area(a) + _area(b) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def _area(bboxes: np.ndarray) -> np.ndarray:
    sides = bboxes[..., 2:] - bboxes[..., :2]
    return sides[..., 0] * sides[..., 1]


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of all images, image after image.

    Attributes:
        bboxes: (M, 4) float, x1 y1 x2 y2 in original pixels.
        scores: (M,) float in [0, 1]; 1 for ground truth.
        embeddings: (M, D) float, rows of unit length, or None if the model
            gives none (a detector).
        offsets: (I + 1,) int64; the boxes of image i are
            ``offsets[i]:offsets[i + 1]``.
    """

    bboxes: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray | None
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.bboxes)

    @property
    def num_images(self) -> int:
        """I, images without a box included."""
        return len(self.offsets) - 1

    @cached_property
    def image(self) -> np.ndarray:
        """(M,) image of each box."""
        return np.repeat(np.arange(self.num_images), np.diff(self.offsets))

    @cached_property
    def numbers(self) -> np.ndarray:
        """(M,) place of each box in its image, from 0."""
        return np.arange(len(self)) - self.offsets[self.image]

    def of(self, image: int) -> slice:
        """Rows of one image."""
        return slice(int(self.offsets[image]), int(self.offsets[image + 1]))

    def above(self, threshold: float) -> 'Boxes':
        """Boxes with score >= threshold, in the same order."""
        return self.where(self.scores >= threshold)

    def where(self, keep: np.ndarray) -> 'Boxes':
        """Some of the boxes, in the same order.

        Args:
            keep: (M,) bool.
        """
        kept = np.concatenate([[0], np.cumsum(keep)])
        embeddings = self.embeddings
        return Boxes(
            self.bboxes[keep],
            self.scores[keep],
            None if embeddings is None else embeddings[keep],
            kept[self.offsets],
        )

    def check(self, what: str, image_names: Sequence[str]) -> None:
        """Raise ValueError naming the first image that holds nonsense."""
        num = len(self.bboxes)
        rises = len(self.offsets) and (np.diff(self.offsets) >= 0).all()
        if not rises or self.offsets[0] != 0 or self.offsets[-1] != num:
            raise ValueError(
                f'{what}: offsets do not cut {num} boxes into images'
            )
        if self.num_images != len(image_names):
            raise ValueError(
                f'{what}: boxes of {self.num_images} images, but the test '
                f'set has {len(image_names)}'
            )
        if self.bboxes.shape != (num, 4) or self.scores.shape != (num,):
            raise ValueError(
                f'{what}: bboxes {self.bboxes.shape} and scores '
                f'{self.scores.shape} do not fit; expected (M, 4) and (M,)'
            )

        def refuse(wrong: np.ndarray, problem: str) -> None:
            if wrong.any():
                row = int(wrong.argmax())
                image = self.image[row]
                raise ValueError(
                    f"{what} of image '{image_names[image]}', box "
                    f'{row - self.offsets[image]}: {problem}'
                )

        refuse(~np.isfinite(self.bboxes).all(1), 'coordinates are not finite')
        sides = self.bboxes[:, 2:] - self.bboxes[:, :2]
        refuse((sides < 0).any(1), 'not x1 y1 x2 y2 with x1 <= x2, y1 <= y2')
        refuse(~np.isfinite(self.scores), 'the score is not finite')
        if self.embeddings is not None:
            if self.embeddings.ndim != 2 or len(self.embeddings) != num:
                raise ValueError(
                    f'{what}: embeddings {self.embeddings.shape} for {num} '
                    'boxes; expected (M, D)'
                )
            refuse(*_not_unit(self.embeddings))


def joined(parts: Sequence[Boxes]) -> Boxes:
    """Boxes of images that follow each other.

    Args:
        parts: At least one, all with embeddings of one size.
    """
    counts = [np.diff(part.offsets) for part in parts]
    return Boxes(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ('bboxes', 'scores', 'embeddings')
        ),
        np.cumsum([0, *np.concatenate(counts)], dtype=np.int64),
    )


def nobody(dims: int) -> Boxes:
    """Boxes of no image, with embeddings of a size."""
    return Boxes(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, dims), np.float32),
        np.zeros(1, np.int64),
    )


@dataclass(frozen=True, eq=False)
class Features:
    """One pass over a test set, enough to score every protocol.

    Attributes:
        image_names: I names.
        detections: What the model found, above the model's own low score.
        ground_truth: All labelled and unlabelled people, with score 1.
        gt_ids: (M of ground_truth,) int, identity or ``UNLABELED``; carried
            along for those who look at a dump, no score needs it.
        queries: Q queries; empty for a set that scores detection alone.
        query_embeddings: (Q, D) of the annotated query boxes, unit length.
        protocols: name -> ``Protocol``.
    """

    image_names: Sequence[str]
    detections: Boxes
    ground_truth: Boxes
    gt_ids: np.ndarray
    queries: tuple[Query, ...] = ()
    query_embeddings: np.ndarray | None = None
    protocols: dict[str, Protocol] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.detections.check('detections', self.image_names)
        self.ground_truth.check('ground truth', self.image_names)
        if len(self.gt_ids) != len(self.ground_truth):
            raise ValueError(
                f'{len(self.gt_ids)} identities for '
                f'{len(self.ground_truth)} ground-truth boxes'
            )
        if self.queries:
            self._check_queries()

    def _check_queries(self) -> None:
        embeddings, boxes = self.query_embeddings, self.detections.embeddings
        if embeddings is None or boxes is None:
            raise ValueError(
                'the model returns no embeddings, so search cannot be '
                'scored; protocols=[] scores detection alone'
            )
        if len(embeddings) != len(self.queries):
            raise ValueError(
                f'{len(embeddings)} query embeddings for {len(self.queries)} '
                'queries'
            )
        if len(boxes) and boxes.shape[1] != embeddings.shape[1]:
            raise ValueError(
                f'detections have embeddings of {boxes.shape[1]} numbers, '
                f'queries of {embeddings.shape[1]}'
            )
        for number, query in enumerate(self.queries):
            if not 0 <= query.image < len(self.image_names):
                raise ValueError(
                    f'query {number} is in image {query.image} of '
                    f'{len(self.image_names)}'
                )
        wrong, problem = _not_unit(embeddings)
        if wrong.any():
            number = int(wrong.argmax())
            name = self.image_names[self.queries[number].image]
            raise ValueError(f"query {number} (image '{name}'): {problem}")
        for name, protocol in self.protocols.items():
            asked = np.asarray(protocol.queries)
            if len(asked) != len(protocol.galleries):
                raise ValueError(
                    f"protocol '{name}': {len(asked)} queries but "
                    f'{len(protocol.galleries)} galleries'
                )
            wrong = (asked < 0) | (asked >= len(self.queries))
            if wrong.any():
                raise ValueError(
                    f"protocol '{name}' asks for query "
                    f'{asked[wrong][0]}; the test set has {len(self.queries)}'
                )


def _not_unit(embeddings: np.ndarray) -> tuple[np.ndarray, str]:
    """Rows that are not of unit length, and what to say about the first."""
    length = np.sqrt(np.einsum('md,md->m', embeddings, embeddings))
    wrong = ~(np.abs(length - 1) <= LENGTH_TOLERANCE)  # NaN is wrong too
    if not wrong.any():
        return wrong, ''
    first = length[wrong.argmax()]
    if not np.isfinite(first):
        return wrong, 'the embedding is not finite'
    return wrong, (
        f'the embedding has length {first:.4g}, expected 1 within '
        f'{LENGTH_TOLERANCE}; scale it to unit length in the model'
    )
