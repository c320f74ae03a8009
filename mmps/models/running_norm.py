"""Standardise descriptors by what they were like so far.

Symbols used in this file:
    B   descriptors of the batch
    C   their size
"""

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn


class RunningNorm(nn.Module):
    """Zero mean and unit spread per channel, by running statistics.

        y = (x - mean) / sqrt(var + eps)

    Averages over a map are about 0.1, with a spread of 0.04 to 0.11 between
    images, so that a linear layer sees nearly the same vector for everybody.
    BatchNorm would take the statistics of a few pairs in training and others
    in testing; this module takes the running ones in both. They are buffers
    without gradient; in training each batch enters them before it is
    normalised, with a share of 1 / t until that falls to ``momentum``.

    With several processes the batch is that of all of them.

    Args:
        channels: C.
        momentum: Share of a batch, in (0, 1].
        eps: Added to the variance; a channel with a smaller spread than its
            root is left small.
    """

    def __init__(
        self, channels: int, momentum: float = 0.01, eps: float = 1e-6
    ) -> None:
        super().__init__()
        if not 0 < momentum <= 1:
            raise ValueError(f'momentum must be in (0, 1], got {momentum}')
        self.momentum = momentum
        self.eps = eps
        self.register_buffer('mean', torch.zeros(channels))
        self.register_buffer('var', torch.ones(channels))
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) float to (B, C) float32."""
        x = x.to(self.mean.dtype)
        if self.training and len(x):
            self._remember(x.detach())
        return self.standardise(x)

    def standardise(self, x: Tensor) -> Tensor:
        """The same without taking notice of the batch."""
        return (x - self.mean) * (self.var + self.eps).rsqrt()

    @torch.no_grad()
    def _remember(self, x: Tensor) -> None:
        # two sums, not one of squares: the spread is small beside the mean
        total = torch.cat([x.sum(dim=0), x.new_tensor([len(x)])])
        all_reduce(total)
        mean = total[:-1] / total[-1]
        apart = (x - mean).square().sum(dim=0)
        all_reduce(apart)
        self.steps += 1
        share = (1 / self.steps).clamp(min=self.momentum)
        # of the mixture of what was and what came
        between = share * (1 - share) * (mean - self.mean).square()
        self.var.lerp_(apart / total[-1], share).add_(between)
        self.mean.lerp_(mean, share)
