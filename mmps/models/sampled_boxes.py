"""What one stage of the detector was trained on in one step."""

from dataclasses import dataclass

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


@dataclass(frozen=True)
class SampledBoxes:
    """Sampled anchors or RoIs, with what the network said of them.

    The losses of a stage, whatever their number, are all taken on this one
    sample.

    Attributes:
        logits: (N, 1) objectness, or (N, 2) person and background.
        deltas: (N, 4) predicted, in the normalised units of the box coder.
        targets: (N, 4) the same of the assigned person, 0 for background.
        positive: (N,) bool; whether a person is assigned.
        where: For anchors (N,) long, positions among the anchors of all
            images (image, row, column, base anchor); for RoIs (N, 5) float,
            image and box in input pixels.
        count: Divides sums over boxes: N, where mmdet counts one positive
            and one negative anchor of an image that has none; with several
            processes their mean.
        embeddings: (N, D) of RoIs, rows of unit length, with gradients; None
            for anchors and without a re-identification branch.
    """

    logits: Tensor
    deltas: Tensor
    targets: Tensor
    positive: Tensor
    where: Tensor
    count: float
    embeddings: Tensor | None = None


def mean_over_ranks(count: int, device: torch.device) -> float:
    """Return the mean of a count over all processes.

    Sums divided by it, averaged over the processes, are what one process
    with all images would get, however many boxes each has sampled.
    """
    if get_world_size() == 1:
        return count
    total = torch.tensor(float(count), device=device)
    all_reduce(total)
    return total.item() / get_world_size()
