"""Online Instance Matching that trusts well-placed boxes more."""

from collections.abc import Sequence

import numpy as np
from mmdet.registry import MODELS
from torch import Tensor

from .oim_loss import OIMLoss


@MODELS.register_module()
class LOIMLoss(OIMLoss):
    """``OIMLoss`` whose rows move by the overlap of an RoI with its person.

        v_t <- normalise((1 - o) * v_t + o * x),   o = clamp(IoU, low, high)

    in place of a fixed momentum. Source: Lee, Oh, Baek and Ham, "OIMNet++:
    Prototypical Normalization and Localization-Aware Learning for Person
    Search", ECCV 2022, section 3.3.

    Args:
        overlap_range: low and high, in [0, 1].
        kwargs: Of ``OIMLoss``; ``momentum`` has no part in it.
    """

    needs_overlaps = True

    def __init__(
        self, *, overlap_range: Sequence[float] = (0.7, 0.9), **kwargs
    ) -> None:
        super().__init__(**kwargs)
        low, high = overlap_range
        if not 0 <= low <= high <= 1:
            raise ValueError(
                'overlap_range must be two numbers in [0, 1], the smaller '
                f'one first, got {overlap_range}'
            )
        self.overlap_range = low, high

    def _remember(
        self, x: Tensor, ids: np.ndarray, overlaps: Tensor | None = None
    ) -> None:
        if overlaps is None:
            raise ValueError(
                'LOIMLoss needs the overlap of every RoI with its person, '
                'which this head does not give; use OIMLoss'
            )
        overlaps = overlaps.detach().to(self.table.dtype)
        self._move(x, ids, 1 - overlaps.clamp(*self.overlap_range))
