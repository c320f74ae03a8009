"""Small random test sets that are full of what goes wrong.

Ties (few distinct embeddings and scores), scores of exactly 0.5, images
without detections or people, galleries that list an image twice, galleries
without the person, complements, queries in their own gallery.
"""

import numpy as np

from mmps.evaluation.features import Boxes, Features
from mmps.structures import Gallery, Protocol, Query

SCORES = np.array([0.49, 0.5, 0.5, 0.7, 0.9], np.float32)


def unit(vectors) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / length).astype(np.float32)


class Embedder:
    """Draws unit vectors: from a handful (ties) or a continuum (none)."""

    def __init__(self, rng, ties: bool, dims: int) -> None:
        self.rng, self.dims = rng, dims
        self.stock = unit(rng.normal(size=(4, dims))) if ties else None

    def __call__(self, num: int) -> np.ndarray:
        if self.stock is None:
            return unit(self.rng.normal(size=(num, self.dims)))
        return self.stock[self.rng.integers(len(self.stock), size=num)]


def random_boxes(rng, num: int) -> np.ndarray:
    """Whole pixels, so that IoU meets its limits exactly now and then."""
    corner = rng.integers(0, 30, size=(num, 2))
    sides = rng.integers(1, 40, size=(num, 2))
    return np.concatenate([corner, corner + sides], 1).astype(np.float32)


def shaken(rng, bboxes: np.ndarray) -> np.ndarray:
    """Boxes like these, a little off, sometimes not at all."""
    by = rng.integers(-3, 4, size=bboxes.shape) * rng.integers(0, 2)
    moved = bboxes + by
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
    return moved.astype(np.float32)


def stack(parts: list[tuple]) -> Boxes:
    counts = [len(bboxes) for bboxes, _, _ in parts]
    return Boxes(
        *(np.concatenate(column) for column in zip(*parts, strict=True)),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )


def random_gallery(rng, truth: Boxes, own: int) -> Gallery:
    num_images = truth.num_images
    complement = bool(rng.integers(2))
    if complement:
        listed = np.flatnonzero(rng.random(num_images) < 0.3)
        allowed = np.setdiff1d(np.arange(num_images), listed)
    else:
        # repeats are likely; the query's own image may be among them
        size = rng.integers(0, num_images + 2)
        listed = rng.integers(num_images, size=size)
        if rng.random() < 0.3:
            listed = np.append(listed, own)
        allowed = listed
    positives, bboxes = [], []
    for image in allowed:
        rows = truth.of(image)
        if rows.stop > rows.start and rng.random() < 0.5:
            positives.append(image)
            person = rng.integers(rows.start, rows.stop)
            bboxes.append(truth.bboxes[person])
    return Gallery(
        images=listed.astype(np.int32),
        positives=np.array(positives, np.int32),
        bboxes=np.array(bboxes, np.float64).reshape(-1, 4),
        complement=complement,
    )


def random_features(seed: int, ties: bool = True) -> Features:
    rng = np.random.default_rng(seed)
    embed = Embedder(rng, ties, dims=int(rng.integers(1 if ties else 2, 6)))
    num_images = int(rng.integers(1, 9))
    truth, found = [], []
    for _ in range(num_images):
        people = random_boxes(rng, rng.integers(0, 4))
        num = len(people)
        truth.append((people, np.ones(num, np.float32), embed(num)))
        boxes = np.concatenate(
            [shaken(rng, people), people, random_boxes(rng, 1)]
        )
        boxes = boxes[rng.random(len(boxes)) < rng.choice([0, 0.6, 1])]
        points = rng.choice(SCORES, len(boxes)).astype(np.float32)
        found.append((boxes, points, embed(len(boxes))))
    truth, found = stack(truth), stack(found)
    queries = tuple(
        Query(
            image=int(rng.integers(num_images)),
            bbox=random_boxes(rng, 1)[0].astype(np.float64),
            identity=f'p{number}',
        )
        for number in range(rng.integers(1, 5))
    )
    protocols = {}
    for name in ('first', 'second'):
        asked = rng.integers(len(queries), size=rng.integers(0, 5))
        protocols[name] = Protocol(
            asked.astype(np.int64),
            tuple(random_gallery(rng, truth, queries[q].image) for q in asked),
        )
    return Features(
        image_names=[f's{i}.jpg' for i in range(num_images)],
        detections=found,
        ground_truth=truth,
        gt_ids=rng.integers(-1, 3, size=len(truth)),
        queries=queries,
        query_embeddings=embed(len(queries)),
        protocols=protocols,
    )
