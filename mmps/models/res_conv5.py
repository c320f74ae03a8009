"""conv5 of a ResNet, run on every RoI (ClsIdenNet in the papers)."""

import torch
from mmdet.models.backbones import ResNet
from mmdet.models.layers import ResLayer
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


@MODELS.register_module()
class ResConv5(BaseModule):
    """Last stage of a ResNet as a shared head; halves the RoI feature.

    mmdet's own ``ResLayer`` head does the same at full width only; this one
    also takes ``base_channels``, as mmdet's ``ResNet`` does, so that narrow
    networks can be trained without a GPU. Its parameters are named
    ``layer4.*`` as in torchvision's files.

    Args:
        depth: 18, 34, 50, 101 or 152, as in the backbone.
        base_channels: Channels of the stem, 64 in the papers.
        style: 'pytorch' or 'caffe', as in the backbone.
        norm_cfg: Config of the normalisation layers.
        norm_eval: Whether BatchNorm keeps its statistics in training, which
            is MMDetection's default; Xiao et al. train them on RoIs.
        with_cp: Whether activations are computed again in the backward pass
            in place of being kept: less memory for more time. A BatchNorm
            that trains counts each batch twice then.
        init_cfg: How weights start; by default as mmdet's ``ResNet``, every
            block as the identity.
    """

    def __init__(
        self,
        depth: int,
        base_channels: int = 64,
        style: str = 'pytorch',
        norm_cfg: ConfigType = dict(type='BN', requires_grad=True),  # noqa: B006
        norm_eval: bool = True,
        with_cp: bool = False,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        block, num_blocks = ResNet.arch_settings[depth]
        block_init_cfg = None
        if init_cfg is None:  # as mmdet's ResNet starts from scratch
            init_cfg = [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer='_BatchNorm'),
            ]
            last = 'norm2' if block.expansion == 1 else 'norm3'
            block_init_cfg = dict(
                type='Constant', val=0, override=dict(name=last)
            )
        super().__init__(init_cfg)
        self.norm_eval, self.with_cp = norm_eval, with_cp
        self.in_channels = 4 * base_channels * block.expansion
        self.out_channels = 8 * base_channels * block.expansion
        self.layer4 = ResLayer(
            block,
            self.in_channels,
            8 * base_channels,
            num_blocks[3],
            stride=2,
            style=style,
            norm_cfg=norm_cfg,
            init_cfg=block_init_cfg,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(R, 4 * width, h, w) to (R, 8 * width, ceil(h / 2), ceil(w / 2))."""
        if not (self.with_cp and torch.is_grad_enabled()):
            return self.layer4(x)
        for block in self.layer4:
            x = checkpoint(block, x, use_reentrant=False)
        return x

    def train(self, mode: bool = True) -> 'ResConv5':
        """Switch the mode; BatchNorm stays in eval mode with norm_eval."""
        super().train(mode)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self
