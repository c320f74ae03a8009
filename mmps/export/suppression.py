"""Operators whose result has a size that depends on values, for one graph.

Symbols used in this file:
    N   boxes
    K   chosen boxes, at most ``max_num``

torch.export cannot follow loops like that of ``mmps.ops.nms``. So choosing
is an operator of its own for torch, and a node of ONNX in the file.
"""

import torch
from onnxscript import opset18 as op
from torch import Tensor

from mmps.ops import nms


@torch.library.custom_op('mmps::best', mutates_args=())
def best(scores: Tensor, max_num: int) -> Tensor:
    """Indices of the highest scores, (K,) long, falling; equals in order.

    Args:
        scores: (N,).
        max_num: Of indices; -1 for N.
    """
    order = scores.argsort(descending=True, stable=True)
    return order[:max_num].clone() if max_num > 0 else order


@torch.library.custom_op('mmps::suppress', mutates_args=())
def suppress(
    boxes: Tensor, scores: Tensor, iou_threshold: float, max_num: int
) -> Tensor:
    """Greedy suppression; negative scores are left out.

    Args:
        boxes: (N, 4).
        scores: (N,); below 0 for a box that does not count.
        iou_threshold: IoU above which the lower score goes.
        max_num: Of indices.

    Returns:
        (K,) long, indices in falling score.
    """
    counts = torch.nonzero(scores >= 0).flatten()
    kept = nms(boxes[counts], scores[counts], iou_threshold, max_num=max_num)
    return counts[kept]


@best.register_fake
def _(scores: Tensor, max_num: int) -> Tensor:
    return _some_of(scores)


@suppress.register_fake
def _(
    boxes: Tensor, scores: Tensor, iou_threshold: float, max_num: int
) -> Tensor:
    return _some_of(scores)


def _some_of(scores: Tensor) -> Tensor:
    size = torch.library.get_ctx().new_dynamic_size()
    return scores.new_empty(size, dtype=torch.long)


def _best_in_onnx(scores, max_num: int):
    count = op.Shape(scores)
    if max_num > 0:
        count = op.Min(count, op.Constant(value_ints=[max_num]))
    _, order = op.TopK(scores, count, axis=0)
    return order


def _suppress_in_onnx(boxes, scores, iou_threshold: float, max_num: int):
    found = op.NonMaxSuppression(
        op.Unsqueeze(boxes, op.Constant(value_ints=[0])),
        op.Unsqueeze(scores, op.Constant(value_ints=[0, 1])),
        op.Constant(value_ints=[max_num]),
        op.Constant(value_floats=[iou_threshold]),
        op.Constant(value_floats=[-0.5]),  # scores that count are above
    )
    # batch, class and box of each
    return op.Gather(found, op.Constant(value_int=2), axis=1)


#: ``custom_translation_table`` of ``torch.onnx.export``.
TRANSLATIONS = {
    torch.ops.mmps.best.default: _best_in_onnx,
    torch.ops.mmps.suppress.default: _suppress_in_onnx,
}
