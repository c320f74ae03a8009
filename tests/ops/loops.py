"""NMS and RoIAlign as their rules are told: the references of the tests."""

import math

import numpy as np


def nms_by_loops(boxes, scores, threshold, offset=0):
    """Walk down the scores; keep who overlaps none of the kept too much."""
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    order = np.argsort(-np.asarray(scores), kind='stable')
    kept = []
    for i in order:
        if all(
            not iou(boxes[i], boxes[j], offset) > np.float32(threshold)
            for j in kept
        ):
            kept.append(int(i))
    return kept


def iou(a, b, offset):
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    inter = max(width, 0) * max(height, 0)
    area_a = (a[2] - a[0] + offset) * (a[3] - a[1] + offset)
    area_b = (b[2] - b[0] + offset) * (b[3] - b[1] + offset)
    union = area_a + area_b - inter
    return inter / union if union else 0.0


def bilinear(plane, y, x):
    """Value at one point; 0 more than a cell outside, else the border."""
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = max(y, 0.0), max(x, 0.0)
    top, left = min(int(y), height - 1), min(int(x), width - 1)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down = y - top if top < height - 1 else 0.0
    along = x - left if left < width - 1 else 0.0
    upper = plane[top, left] * (1 - along) + plane[top, right] * along
    lower = plane[bottom, left] * (1 - along) + plane[bottom, right] * along
    return upper * (1 - down) + lower * down


def roi_align_by_loops(
    features, rois, size, scale=1.0, sampling_ratio=0, aligned=True
):
    """RoIAlign as its paper tells it, one sample at a time, in NumPy."""
    out = np.zeros((len(rois), features.shape[1], *size))
    for r, (image, *box) in enumerate(rois):
        x1, y1, x2, y2 = (v * scale - (0.5 if aligned else 0.0) for v in box)
        width, height = x2 - x1, y2 - y1
        if not aligned:
            width, height = max(width, 1.0), max(height, 1.0)
        step_y, step_x = height / size[0], width / size[1]
        ny = sampling_ratio or max(0, math.ceil(step_y))
        nx = sampling_ratio or max(0, math.ceil(step_x))
        for c, i, j in np.ndindex(*out.shape[1:]):
            out[r, c, i, j] = sum(
                bilinear(
                    features[int(image), c],
                    y1 + i * step_y + (m + 0.5) * step_y / ny,
                    x1 + j * step_x + (n + 0.5) * step_x / nx,
                )
                for m in range(ny)
                for n in range(nx)
            ) / max(ny * nx, 1)
    return out


def roi_align_gradient_by_loops(grad, shape, rois, *args):
    """Transpose of ``roi_align_by_loops``: linear, so one cell at a time."""
    out = np.zeros(shape)
    for b, y, x in np.ndindex(shape[0], *shape[2:]):
        cell = np.zeros((shape[0], 1, *shape[2:]))
        cell[b, 0, y, x] = 1
        slope = roi_align_by_loops(cell, rois, *args)
        out[b, :, y, x] = (slope * grad).sum(axis=(0, 2, 3))
    return out
