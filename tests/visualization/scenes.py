"""A search in three pictures, for the tests of what is drawn."""

import cv2
import numpy as np

from mmps.evaluation.features import Boxes, Features
from mmps.structures import Gallery, Protocol, Query

PERSON, OTHER = [10, 10, 30, 60], [50, 10, 70, 60]


def unit(*angles):
    rad = np.deg2rad(angles)
    return np.stack([np.cos(rad), np.sin(rad)], axis=1)


def make_features(protocols=None):
    """Image 0 has the query; 1 shows the person, 2 does not."""
    boxes = np.array([PERSON, PERSON, PERSON, OTHER, OTHER, OTHER], float)
    scores = np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0.2])
    # image 1 has two boxes on the person: the more similar one counts
    angles = (0, 30, 20, 10, 40, 0)
    detections = Boxes(boxes, scores, unit(*angles), np.array([0, 1, 4, 6]))
    truth = Boxes(
        np.array([PERSON, PERSON], float),
        np.ones(2),
        None,
        np.array([0, 1, 2, 2]),
    )
    gallery = Gallery(
        images=np.array([0]),
        positives=np.array([1]),
        bboxes=np.array([PERSON], float),
        complement=True,
    )
    asked = Protocol(np.array([0]), (gallery,))
    return Features(
        image_names=['a.png', 'b.png', 'c.png'],
        detections=detections,
        ground_truth=truth,
        gt_ids=np.zeros(2, int),
        queries=(Query(0, np.array(PERSON, float), 'p1'),),
        query_embeddings=unit(0),
        protocols={'G': asked} if protocols is None else protocols,
    )


def three_queries():
    """AP 1/2, 1 and a gallery without the person."""

    def gallery(positives, images):
        return Gallery(
            np.array(images),
            np.array(positives, int),
            np.array([PERSON] * len(positives), float).reshape(-1, 4),
        )

    galleries = (
        gallery([1], [1, 2]),
        gallery([0], [0]),
        gallery([], [2]),
    )
    return {'G': Protocol(np.zeros(3, int), galleries)}


def save_images(folder):
    folder.mkdir(exist_ok=True)
    for name in ('a', 'b', 'c'):
        picture = np.full((80, 100, 3), 77, np.uint8)
        assert cv2.imwrite(str(folder / f'{name}.png'), picture)
    return folder


def shows(part, colour):
    """Whether a picture has a pixel of exactly this colour."""
    return bool((part == colour).all(axis=2).any())
