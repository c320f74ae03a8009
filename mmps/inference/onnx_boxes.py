"""From the outputs of exported graphs to boxes, in NumPy and float32.

Symbols used in this file:
    A       base anchors of a cell
    h, w    cells of the C4 map
    N       boxes

The same steps as in mmdet and mmps, with which the network was trained:
``AnchorGenerator``, ``DeltaXYWHBBoxCoder``, ``RPNHead``,
``mmps.models.anchor_choice`` and ``mmps.ops.nms``.
"""

import numpy as np

from .onnx_metadata import Anchors, Coder, Proposals


def anchors_of(anchors: Anchors, height: int, width: int) -> np.ndarray:
    """(h * w * A, 4) anchors of a map: row after row, A at each cell."""
    across, down = (
        np.arange(cells, dtype=np.float32) * np.float32(stride)
        for cells, stride in zip((width, height), anchors.stride, strict=True)
    )
    x, y = np.meshgrid(across, down)
    shift = np.stack([x, y, x, y], axis=2)[:, :, None]
    return (shift + np.float32(anchors.base)).reshape(-1, 4)


def propose(
    logits: np.ndarray,
    deltas: np.ndarray,
    anchors: Anchors,
    rule: Proposals,
    size: tuple[int, int],
) -> np.ndarray:
    """Choose the boxes that people are sought in.

    Args:
        logits: (1, A, h, w).
        deltas: (1, 4 A, h, w).
        anchors: Of the network.
        rule: Of the network.
        size: Height and width of the scaled picture.

    Returns:
        (N, 4) in pixels of the scaled picture, best first; N may be 0.
    """
    scores = sigmoid(logits[0].transpose(1, 2, 0).reshape(-1))
    order = np.argsort(-scores, kind='stable')
    if rule.nms_pre > 0:
        order = order[: rule.nms_pre]
    start = anchors_of(anchors, *logits.shape[2:])[order]
    moves = deltas[0].transpose(1, 2, 0).reshape(-1, 4)[order]
    boxes = decode(start, moves, rule.coder, size)
    large = ((boxes[:, 2:] - boxes[:, :2]) > rule.min_size).all(axis=1)
    boxes, scores = boxes[large], scores[order][large]
    return boxes[nms(boxes, scores, rule.iou_threshold, rule.max_per_img)]


def decode(
    boxes: np.ndarray,
    deltas: np.ndarray,
    coder: Coder,
    size: tuple[int, int],
) -> np.ndarray:
    """Move boxes, and clip them at the borders.

    Args:
        boxes: (N, 4) x1 y1 x2 y2.
        deltas: (N, 4) as the network gives them.
        coder: What they mean.
        size: Height and width of the picture.

    Returns:
        (N, 4) float32.
    """
    moves = deltas * np.float32(coder.stds) + np.float32(coder.means)
    centre = (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)
    sides = boxes[:, 2:] - boxes[:, :2]
    bound = np.float32(coder.max_log)
    half = sides * np.exp(moves[:, 2:].clip(-bound, bound)) * np.float32(0.5)
    centre = centre + sides * moves[:, :2]
    height, width = size
    limit = np.float32([width, height])
    return np.concatenate(
        [(centre - half).clip(0, limit), (centre + half).clip(0, limit)],
        axis=1,
    )


def nms(
    boxes: np.ndarray, scores: np.ndarray, iou_threshold: float, max_num: int
) -> np.ndarray:
    """Greedy suppression of boxes that overlap a better one.

    Args:
        boxes: (N, 4) float32.
        scores: (N,).
        iou_threshold: IoU above which the lower score goes.
        max_num: Boxes to keep.

    Returns:
        Indices, best first; equal scores in input order.
    """
    order = np.argsort(-scores, kind='stable')
    x1, y1, x2, y2 = boxes[order].T
    area = (x2 - x1) * (y2 - y1)
    free = np.ones(len(order), bool)
    kept = []
    for row in range(len(order)):
        if not free[row]:
            continue
        kept.append(row)
        if len(kept) == max_num:
            break
        rest = slice(row + 1, None)
        across = np.minimum(x2[row], x2[rest]) - np.maximum(x1[row], x1[rest])
        down = np.minimum(y2[row], y2[rest]) - np.maximum(y1[row], y1[rest])
        inter = across.clip(0) * down.clip(0)
        union = area[row] + area[rest] - inter
        with np.errstate(divide='ignore', invalid='ignore'):
            free[rest] &= ~(inter / union > iou_threshold)
    return order[kept]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Of any size, without overflow."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))


def person_scores(logits: np.ndarray) -> np.ndarray:
    """(N, 2) logits of person and background to (N,) scores."""
    return sigmoid(logits[:, 0] - logits[:, 1])
