"""Score the detection of people, whoever they are.

Symbols used in this file:
    N   ground-truth boxes of one image
    M   detections of one image

The measure of Xiao et al., CVPR 2017, and all who followed: not COCO's.
"""

from dataclasses import dataclass

import numpy as np

from .features import Boxes, iou
from .search import average_precision

#: Overlap of a detection that counts.
IOU_THR = 0.5


@dataclass(frozen=True, eq=False)
class DetectionScore:
    """Counts of all images together; ratios are derived from these.

    Attributes:
        scores: (all M,) of the detections.
        is_match: (all M,) bool.
        num_gt: People, labelled and unlabelled.
    """

    scores: np.ndarray
    is_match: np.ndarray
    num_gt: int

    def summary(self) -> dict[str, float]:
        """AP times recall, recall (both NaN without ground truth), counts."""
        matched = self.scores[self.is_match]
        ap = recall = float('nan')
        if self.num_gt:
            ap = average_precision(self.scores, matched, self.num_gt)
            recall = len(matched) / self.num_gt
        return {
            'AP': ap,
            'recall': recall,
            'gt': self.num_gt,
            'found': len(matched),
            'boxes': len(self.scores),
        }


def match(overlap: np.ndarray) -> np.ndarray:
    """Mark the detections that are the mutual best of a ground-truth box.

    A detection counts if the box that it overlaps best overlaps it best, by
    at least ``IOU_THR``. "Best" is over the raw matrix, so a detection that
    loses its box gets no second choice. The first of equals is the best.

    Args:
        overlap: (N, M) IoU.

    Returns:
        (M,) bool.
    """
    if not overlap.size:
        return np.zeros(overlap.shape[1], dtype=bool)
    best_box = overlap.argmax(axis=0)
    best_detection = overlap.argmax(axis=1)
    number = np.arange(overlap.shape[1])
    mutual = best_detection[best_box] == number
    return mutual & (overlap[best_box, number] >= IOU_THR)


def score_labelled(
    boxes: Boxes, ground_truth: Boxes, is_labelled: np.ndarray
) -> dict[str, float]:
    """Recall among labelled people, and its counts.

    As if nobody else were annotated: a detection on somebody unlabelled is
    compared with the labelled people alone.

    Args:
        boxes: Detections, already cut by score.
        ground_truth: All people.
        is_labelled: (N of all images,) bool.

    Returns:
        Recall (NaN if nobody is labelled) and the counts it is made of.
    """
    score = score_detection(boxes, ground_truth.where(is_labelled))
    figures = score.summary()
    return {
        f'{name}-labelled': figures[name] for name in ('recall', 'gt', 'found')
    }


def score_detection(boxes: Boxes, ground_truth: Boxes) -> DetectionScore:
    """Compare detections, already cut by score, with all people."""
    is_match = np.zeros(len(boxes), dtype=bool)
    for image in range(boxes.num_images):
        rows, people = boxes.of(image), ground_truth.of(image)
        overlap = iou(
            ground_truth.bboxes[people][:, None], boxes.bboxes[rows][None]
        )
        is_match[rows] = match(overlap)
    return DetectionScore(
        boxes.scores.astype(np.float64), is_match, len(ground_truth)
    )
