"""Anchors with whole pixels, as torchvision makes them."""

import torch
from mmdet.models.task_modules import AnchorGenerator
from mmdet.registry import TASK_UTILS
from torch import Tensor


@TASK_UTILS.register_module()
class RoundedAnchorGenerator(AnchorGenerator):
    """``AnchorGenerator`` whose base anchors have corners of whole pixels.

    Halves go to the even neighbour. The networks of the field that are built
    on torchvision (NAE, SeqNet, OIMNet++) were trained with such anchors;
    without the rounding their proposals move by up to 1.6 pixels.

    Args:
        args: Of ``AnchorGenerator``.
        kwargs: Of ``AnchorGenerator``.
    """

    def gen_single_level_base_anchors(self, *args, **kwargs) -> Tensor:
        """(A, 4) x1 y1 x2 y2 around the first cell, in pixels."""
        return torch.round(
            super().gen_single_level_base_anchors(*args, **kwargs)
        )
