"""Gates that a query sets: one factor per channel.

Symbols used in this file:
    B   pairs of a query image and a gallery image
    C   channels of a block's residual branch
    r   reduction of the gate's hidden layer

Source: Munjal et al., "Query-guided End-to-End Person Search", CVPR 2019,
section 3.2 (QSSE-Net), after Hu et al., "Squeeze-and-Excitation Networks",
CVPR 2018.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .running_norm import RunningNorm


class Gate(nn.Module):
    """Descriptor to one factor per channel, through a hidden layer.

    Two forms:

        'centred'   s = 2 sigmoid(W2 ReLU(W1 norm(z)))
        'paper'     s =   sigmoid(W2 ReLU(W1 z))

    The centred gate of a trained network starts ``neutral``: with W2 = 0, so
    at exactly 1, where its slope is 0.5. The fresh network is the one without
    gates, and learns at once. Its descriptor has unit spread
    (``RunningNorm``), since the averages of two queries hardly differ. Both
    are this project's choice. The literal gate starts as PyTorch's linear
    layers do, near 0.5, which halves what it scales; in 800 steps it learnt a
    constant per channel and nothing of the query (docs/qeeps.md).

    Args:
        inputs: Size of the descriptor z.
        outputs: Number of factors.
        hidden: Hidden units.
        form: 'centred' or 'paper'.
        neutral: Whether a centred gate starts at 1. One whose map goes into
            new layers alone may start as PyTorch's linear layers do, around
            1: then it differs between queries from the first step.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int,
        form: str = 'centred',
        neutral: bool = True,
    ) -> None:
        super().__init__()
        if form not in ('centred', 'paper'):
            raise ValueError(
                f"gate must be 'centred' or 'paper', got {form!r}"
            )
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, outputs)
        self.norm = None
        if form == 'centred':
            self.norm = RunningNorm(inputs)
            if neutral:
                nn.init.zeros_(self.fc2.weight)
                nn.init.zeros_(self.fc2.bias)

    def forward(self, descriptor: Tensor) -> Tensor:
        """(B, inputs) to (B, outputs), float32 also inside autocast."""
        return self._factors(descriptor, self.norm)

    def look(self, descriptor: Tensor) -> Tensor:
        """As ``forward``, but running statistics stay as they are."""
        norm = None if self.norm is None else self.norm.standardise
        return self._factors(descriptor, norm)

    def _factors(
        self, descriptor: Tensor, norm: Callable[[Tensor], Tensor] | None
    ) -> Tensor:
        with torch.autocast(descriptor.device.type, enabled=False):
            z = descriptor.to(self.fc1.weight.dtype)
            if norm is not None:
                z = norm(z)
            gate = self.fc2(self.fc1(z).relu()).sigmoid()
            return gate if norm is None else 2 * gate


class QuerySqueezeGate(Gate):
    """Gates of a residual block from both images of a pair.

        z_q = average of u_q, z_g = average of u_g
        s = gate([z_q ; z_g]),  u_q <- s u_q,  u_g <- s u_g

    Args:
        channels: C.
        hidden: Hidden units.
        shared: Whether both images get one gate; else W2 gives two (the paper
            leaves this open, one gate is this project's choice).
        form: 'centred' or 'literal', see ``Gate``.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        shared: bool = True,
        form: str = 'centred',
    ) -> None:
        outputs = channels if shared else 2 * channels
        super().__init__(2 * channels, outputs, hidden, form)
        self.shared = shared

    def forward(self, query: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C) averages of both images to two gates (B, C), float32."""
        gate = super().forward(torch.cat([query, gallery], dim=1))
        return (gate, gate) if self.shared else tuple(gate.chunk(2, dim=1))


def hidden_units(channels: int, reduction: int, least: int) -> int:
    """C / r units as in the paper, but not fewer than ``least``."""
    if reduction < 1 or least < 1:
        raise ValueError(
            'reduction and min_hidden of a gate must be >= 1, got '
            f'{reduction} and {least}'
        )
    return max(channels // reduction, least)
