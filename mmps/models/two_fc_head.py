"""Two fully connected layers in the place of conv5: the light head.

Symbols used in this file:
    R   RoIs of the mini-batch, all images together
    C   channels of the pooled features
    s   side of the pooled square, in cells
"""

from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from mmdet.utils import OptConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class TwoFCHead(BaseModule):
    """(R, C, s, s) features to one vector each, as a shared head.

    What detectors with a feature pyramid have on their RoIs. Each layer is
    linear, normalised if asked for, and rectified. The result has a single
    cell, whose mean and maximum are the vector itself.

    Args:
        in_channels: C.
        roi_feat_size: s.
        hidden_channels: Outputs of the first layer.
        out_channels: Outputs of the second layer, what the branches get.
        norm_cfg: Config of a normalisation of vectors, such as
            ``dict(type='BN1d')``; None for none.
        init_cfg: How weights start; by default as mmdet's
            ``Shared2FCBBoxHead`` (Xavier, uniform).
    """

    def __init__(
        self,
        in_channels: int,
        roi_feat_size: int,
        hidden_channels: int,
        out_channels: int,
        norm_cfg: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = dict(
                type='Xavier', layer='Linear', distribution='uniform'
            )
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels

        def layer(inputs: int, outputs: int) -> nn.Sequential:
            norm = (
                nn.Identity()
                if norm_cfg is None
                else build_norm_layer(norm_cfg, outputs)[1]
            )
            # a normalisation takes off whatever is added before it
            linear = nn.Linear(inputs, outputs, bias=norm_cfg is None)
            return nn.Sequential(linear, norm, nn.ReLU(inplace=True))

        self.fc1 = layer(in_channels * roi_feat_size**2, hidden_channels)
        self.fc2 = layer(hidden_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(R, C, s, s) to (R, out_channels, 1, 1)."""
        return self.fc2(self.fc1(x.flatten(1)))[:, :, None, None]
