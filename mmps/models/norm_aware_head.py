"""Norm-aware embedding: the direction says who, the length whether anyone.

Symbols used in this file:
    R       RoIs of the mini-batch, all images together
    C4, C5  channels of an RoI before and after conv5
    D       size of an embedding

Source: Chen, Zhang, Yang and Schiele, "Norm-Aware Embedding for Efficient
Person Search", CVPR 2020, section 3.2.
"""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class NormAwareHead(BaseModule):
    """Embedding from two depths, and a person score from its length.

        x = [BN(W4 c4 + b4); BN(W5 c5 + b5)]
        embedding = x / |x|
        logit of being a person = scale * (|x| - mean) / std + shift

    with a learnt scale and shift and running statistics of the length: a
    BatchNorm of one channel.

    Args:
        in_channels: (C4, C5).
        loss_oim: Config of the ``OIMLoss``; its ``feat_dim`` is set here.
        feat_dim: D, even; each depth gives half of it.
        init_cfg: How weights start. The default is the paper's: normal with
            std 0.01 in the linear layers and the scales behind them.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        loss_oim: ConfigType,
        feat_dim: int = 256,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if len(in_channels) != 2 or feat_dim % 2:
            raise ValueError(
                'a norm-aware head takes the channels before and after conv5 '
                f'and an even feat_dim, got in_channels={in_channels}, '
                f'feat_dim={feat_dim}'
            )
        if init_cfg is None:
            init_cfg = [
                dict(type='Normal', std=0.01, override=dict(name=name))
                for name in ('project_c4', 'project_c5')
            ]
        super().__init__(init_cfg)
        self.in_channels = tuple(in_channels)
        self.project_c4, self.project_c5 = (
            Projection(channels, feat_dim // 2) for channels in in_channels
        )
        self.rescale = nn.BatchNorm1d(1)
        self.loss_oim = MODELS.build({**loss_oim, 'feat_dim': feat_dim})

    def embed(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Embed RoIs, and say how much each is a person.

        Args:
            vectors: (R, C4 + C5) float.

        Returns:
            (R, D) rows of unit length and (R,) logits; float32 also inside
            autocast.
        """
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.to(self.rescale.weight.dtype)
            c4, c5 = vectors.split(self.in_channels, dim=1)
            x = torch.cat([self.project_c4(c4), self.project_c5(c5)], dim=1)
            length = x.norm(dim=1, keepdim=True)
            embeddings = x / length.clamp(min=1e-12)
            return embeddings, self.rescale(length).squeeze(1)

    def forward(self, vectors: Tensor) -> Tensor:
        """(R, C4 + C5) to (R, D), rows of unit length, float32."""
        return self.embed(vectors)[0]


class Projection(BaseModule):
    """A linear layer and BatchNorm."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, out_channels)
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(R, in_channels) to (R, out_channels)."""
        return self.bn(self.fc(x))


def person_logits(logits: Tensor) -> Tensor:
    """Two classes of one logit: (R,) z to (R, 2), person z, background 0.

    Their softmax is the sigmoid of z and their cross entropy its binary cross
    entropy, so that all that knows two classes takes them.
    """
    return torch.stack([logits, torch.zeros_like(logits)], dim=1)


def vectors_of(regions: Tensor, after: Tensor) -> Tensor:
    """Strongest cells of RoIs before and after conv5.

    Args:
        regions: (R, C4, h, w) float.
        after: (R, C5) float, of the same RoIs.

    Returns:
        (R, C4 + C5).
    """
    return torch.cat([regions.amax(dim=(2, 3)), after], dim=1)
