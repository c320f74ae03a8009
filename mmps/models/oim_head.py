"""Re-identification branch: pooled RoI feature to unit embedding.

Symbols used in this file:
    R   RoIs of the mini-batch, all images together
    C   channels after conv5 (ResNet-50: 2048, ResNet-18: 512)
    D   embedding size

Source: Xiao et al., "Joint Detection and Identification Feature Learning for
Person Search", CVPR 2017, section 3.1.
"""

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from .proto_norm import ProtoNorm1d


@MODELS.register_module()
class OIMHead(BaseModule):
    """One linear layer, then L2 normalisation; trained by the OIM loss.

    Averages over conv5 are positive, so that the embeddings of a fresh network
    all point the same way, and the OIM loss is slow to part them. A
    normalisation layer takes their mean off; networks that start from
    scratch need one (docs/results.md has the measurement).

    Args:
        in_channels: C.
        loss_oim: Config of the ``OIMLoss``; its ``feat_dim`` is set here.
        feat_dim: D.
        norm_cfg: Config of a normalisation layer between the two steps,
            ``dict(type='BN1d')`` in Chen et al., "Norm-Aware Embedding for
            Efficient Person Search", CVPR 2020, ``ProtoNorm1d`` in OIMNet++.
            None as Xiao et al.
        init_cfg: How weights start. The default (normal, std 0.01, bias 0)
            is this project's choice.
    """

    def __init__(
        self,
        in_channels: int,
        loss_oim: ConfigType,
        feat_dim: int = 256,
        norm_cfg: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = dict(type='Normal', layer='Linear', std=0.01)
        super().__init__(init_cfg)
        self.fc = nn.Linear(in_channels, feat_dim)
        self.norm = (
            nn.Identity()
            if norm_cfg is None
            else build_norm_layer(
                {**norm_cfg, 'type': MODELS.get(norm_cfg['type'])}, feat_dim
            )[1]
        )
        self.loss_oim = MODELS.build({**loss_oim, 'feat_dim': feat_dim})

    def forward(self, pooled: Tensor, ids: Tensor | None = None) -> Tensor:
        """Embed pooled RoI features.

        Args:
            pooled: (R, C) float.
            ids: (R,) long, as of ``loss``; a ``ProtoNorm1d`` in training
                needs them.

        Returns:
            (R, D), rows of unit length, float32 also inside autocast.
        """
        with torch.autocast(pooled.device.type, enabled=False):
            x = self.fc(pooled.to(self.fc.weight.dtype))
            by_identity = isinstance(self.norm, ProtoNorm1d)
            x = self.norm(x, ids) if by_identity else self.norm(x)
            return F.normalize(x, dim=1)

    def loss(
        self, pooled: Tensor, ids: Tensor, overlaps: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """OIM loss of sampled RoIs.

        Args:
            pooled: (R, C) float.
            ids: (R,) long; identity row, ``UNLABELED`` or ``BACKGROUND``.
            overlaps: (R,) IoU with the person that an RoI shows; ``LOIMLoss``
                needs them.

        Returns:
            ``loss_oim``, a scalar; and the (R, D) embeddings that it is taken
            on.
        """
        embeddings = self(pooled, ids)
        loss = self.loss_oim(embeddings, ids, overlaps)
        return dict(loss_oim=loss), embeddings
