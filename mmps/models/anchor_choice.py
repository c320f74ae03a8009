"""Which anchors become proposals, and which train the query score.

Symbols used in this file:
    n   anchors of one image
"""

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import ConfigType
from torch import Tensor

from mmps.ops import nms


def others_first(
    assigned: Tensor, anchors: Tensor, people: Tensor, drawn: Tensor
) -> Tensor:
    """Put anchors on other people in the place of random negatives.

    Args:
        assigned: (n,) long; 0 for a negative, as of mmdet's assigners.
        anchors: (n, 4).
        people: (N, 4) boxes of everyone in the image.
        drawn: (m,) long; negatives that were drawn at random.

    Returns:
        (m,) long; negatives that lie on someone (IoU >= 0.5), then ``drawn``,
        none twice.
    """
    overlap = bbox_overlaps(anchors, people).amax(dim=1)
    hard = ((assigned == 0) & (overlap >= 0.5)).nonzero().flatten()
    hard = hard[torch.randperm(len(hard), device=hard.device)]
    rest = drawn[~torch.isin(drawn, hard)]
    return torch.cat([hard, rest])[: len(drawn)]


def select_anchors(scores: Tensor, boxes: Tensor, cfg: ConfigType) -> Tensor:
    """Choose proposals among the anchors of one image.

    Args:
        scores: (n,) any order-preserving score.
        boxes: (n, 4) decoded.
        cfg: ``nms_pre``, ``min_bbox_size``, ``nms.iou_threshold`` and
            ``max_per_img``, as of mmdet's RPN.

    Returns:
        Positions of the proposals, best first.
    """
    order = scores.sort(descending=True, stable=True).indices
    if cfg.nms_pre > 0:
        order = order[: cfg.nms_pre]
    sides = boxes[order][:, 2:] - boxes[order][:, :2]
    order = order[(sides > cfg.get('min_bbox_size', 0)).all(dim=1)]
    kept = nms(
        boxes[order],
        scores[order],
        cfg.nms.iou_threshold,
        max_num=cfg.max_per_img,
    )
    return order[kept]
