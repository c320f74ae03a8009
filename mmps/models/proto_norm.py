"""Batch normalisation in which every identity counts once.

Symbols used in this file:
    R   RoIs of the mini-batch
    D   channels
    M   prototypes: labelled people of the batch, each of its unlabelled ones,
        and all background together

Source: Lee, Oh, Baek and Ham, "OIMNet++: Prototypical Normalization and
Localization-Aware Learning for Person Search", ECCV 2022, section 3.2.
"""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from mmps.structures import UNLABELED


@MODELS.register_module()
class ProtoNorm1d(nn.BatchNorm1d):
    """``BatchNorm1d`` whose mean is that of prototypes in training.

        mean = 1 / M sum of the M prototypes (mean vector of each)
        var  = 1 / R sum over the R RoIs of (x - mean)^2

    People with many RoIs weigh as much as others. In testing it is
    ``BatchNorm1d`` with the running statistics of these. With several
    processes each takes its own RoIs, as ``BatchNorm1d`` does.

    Args:
        num_features: D.
        kwargs: Of ``BatchNorm1d``; ``affine=False`` in the paper.
    """

    def forward(self, x: Tensor, ids: Tensor | None = None) -> Tensor:
        """Normalise.

        Args:
            x: (R, D) float.
            ids: (R,) long; identity row, ``UNLABELED`` or ``BACKGROUND``.
                Not needed in testing.

        Raises:
            ValueError: In training without identities.
        """
        if not self.training:
            return super().forward(x)
        if ids is None:
            raise ValueError(
                'ProtoNorm1d needs the identities of the RoIs in training; '
                "this head gives none: use norm_cfg=dict(type='BN1d')"
            )
        mean = prototypes(x, ids).mean(dim=0)
        centred = x - mean
        var = centred.square().mean(dim=0)
        with torch.no_grad():
            unbiased = var * (len(x) / max(len(x) - 1, 1))
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        y = centred * (var + self.eps).rsqrt()
        return y * self.weight + self.bias if self.affine else y


def prototypes(x: Tensor, ids: Tensor) -> Tensor:
    """Mean vector of everybody in a batch.

    Args:
        x: (R, D) float.
        ids: (R,) long; identity row, ``UNLABELED`` or ``BACKGROUND``.

    Returns:
        (M, D): background if there is any, labelled people by their rows, then
        unlabelled people.
    """
    alone = ids == UNLABELED
    _, of, counts = ids[~alone].unique(return_inverse=True, return_counts=True)
    sums = x.new_zeros(len(counts), x.shape[1]).index_add(0, of, x[~alone])
    return torch.cat([sums / counts[:, None], x[alone]])
