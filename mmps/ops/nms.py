"""Greedy non-maximum suppression (NMS) in blocks.

Symbols used in this file:
    N   boxes
    S   boxes of one block that no block before suppressed, at most ``BLOCK``

The rule: walk through the boxes from the highest score to the lowest, and
keep a box unless it overlaps one kept before it by more than the threshold.

Within a block the rule is solved for all boxes at once. Start with all of
them as kept, and repeat "kept is who is overlapped by nobody kept before
it": box 1 is right from the start, box n once all before it are, so this
ends at the greedy answer, and no other answer stays as it is. It takes one
step per link of the longest chain of suppressions, rarely more than ten.
"""

import torch
from torch import Tensor

from .choice import kernels_for

# 128 and 256 measured alike for 1000 to 12 000 boxes, 512 up to 1.4 times and
# 1024 up to 2.2 times as long; a GPU prefers fewer, larger blocks.
BLOCK = 256


def nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    offset: int = 0,
    max_num: int | None = None,
) -> Tensor:
    """Return the indices of the kept boxes, highest score first.

    Equal scores count in input order. Boxes without area have IoU 0 with
    each other, so they are kept. So are boxes whose area is NaN or, in
    float32, infinite: they suppress nobody. Same arithmetic as the CPU
    kernel of mmcv 2.1, in float32 (float64 for float64 boxes). On a GPU the
    kernel of torchvision or of compiled mmcv runs in its place
    (``choice.py``).

    Args:
        boxes: (N, 4) x1 y1 x2 y2, any unit.
        scores: (N,).
        iou_threshold: IoU, in [0, 1], above which the lower score goes;
            equal to it stays.
        offset: 0, or 1 if x2 and y2 are the last pixel inside the box.
        max_num: Stop after this number of kept boxes; later boxes are
            dropped.

    Returns:
        (K,) long, K <= N, on the device of ``boxes``.
    """
    _check(boxes, scores, iou_threshold, offset, max_num)
    max_num = len(boxes) if max_num is None else max_num
    boxes = boxes.detach()
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    scores = scores.detach()
    kernels = kernels_for(boxes.device.type) if len(boxes) else None
    if (
        kernels is not None
        and offset in kernels.nms_offsets
        and boxes.dtype in kernels.nms_dtypes
    ):
        kept = kernels.nms(boxes, scores.to(boxes), iou_threshold, offset)
        return kept[:max_num]
    order = scores.argsort(descending=True, stable=True)
    kept = order[:0]
    for block in order.split(BLOCK):
        if len(kept) >= max_num:
            break
        clash = _overlap(boxes[kept], boxes[block], iou_threshold, offset)
        block = block[~clash.any(0)]
        clash = _overlap(boxes[block], boxes[block], iou_threshold, offset)
        kept = torch.cat([kept, block[_survivors(clash)]])
    return kept[:max_num]


def _survivors(clash: Tensor) -> Tensor:
    """Apply the greedy rule to one block.

    Args:
        clash: (S, S) bool, which pairs overlap too much; highest score first.

    Returns:
        (S,) bool.
    """
    clash = clash.triu(1)  # [i, j]: i, of higher score, would suppress j
    kept = torch.ones(len(clash), dtype=torch.bool, device=clash.device)
    while True:
        again = ~clash[kept].any(0)
        if torch.equal(again, kept):
            return kept
        kept = again


def _overlap(
    first: Tensor, second: Tensor, iou_threshold: float, offset: int
) -> Tensor:
    """Tell which pairs have an IoU above the threshold.

    Args:
        first: (S, 4).
        second: (N, 4).

    Returns:
        (S, N) bool; False where both areas are 0.
    """
    a, b = first.t()[:, :, None], second.t()[:, None, :]
    width = torch.minimum(a[2], b[2]).sub_(torch.maximum(a[0], b[0]))
    height = torch.minimum(a[3], b[3]).sub_(torch.maximum(a[1], b[1]))
    inter = width.add_(offset).clamp_(min=0)
    inter = inter.mul_(height.add_(offset).clamp_(min=0))
    union = (_area(a, offset) + _area(b, offset)).sub_(inter)
    return inter.div_(union) > iou_threshold


def _area(box: Tensor, offset: int) -> Tensor:
    return (box[2] - box[0] + offset) * (box[3] - box[1] + offset)


def _check(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    offset: int,
    max_num: int | None,
) -> None:
    """Refuse what would give a wrong answer or an unreadable error."""
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f'boxes must have shape (N, 4), got {tuple(boxes.shape)}'
        )
    if scores.shape != boxes.shape[:1]:
        raise ValueError(
            f'scores must have shape (N,) = ({len(boxes)},) as boxes do, got '
            f'{tuple(scores.shape)}'
        )
    if not 0 <= iou_threshold <= 1:
        raise ValueError(
            f'iou_threshold must be in [0, 1], got {iou_threshold}'
        )
    if offset not in (0, 1):
        raise ValueError(f'offset must be 0 or 1, got {offset}')
    if max_num is not None and max_num < 0:
        raise ValueError(f'max_num must be at least 0, got {max_num}')
