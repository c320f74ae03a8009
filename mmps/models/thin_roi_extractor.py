"""RoI features of a thinner copy of the C4 map.

Symbols used in this file:
    R   RoIs of the mini-batch, all images together

Source: Li et al., "Light-Head R-CNN: In Defense of Two-Stage Object
Detector", 2017, arXiv 1711.07264.
"""

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import OptConfigType
from mmengine.model import BaseModule
from torch import Tensor

from .roi_extractor import C4RoIExtractor


@MODELS.register_module()
class ThinRoIExtractor(BaseModule):
    """One 1x1 convolution on the map, then RoIAlign.

    The convolution runs once per image and not on every RoI; RoIAlign and the
    head behind it have fewer channels to handle. Li et al. make their map by
    a large separable convolution; one of 1x1 is this project's choice. The
    RPN still sees the whole map.

    Args:
        in_channels: Channels of C4.
        out_channels: Channels of the thin map.
        norm_cfg: Config of the normalisation between convolution and ReLU;
            None for a bias in its place.
        output_size: Side of the pooled square, in cells.
        stride: Input pixels per cell of the feature map.
        sampling_ratio: As ``C4RoIExtractor``.
        aligned: As ``C4RoIExtractor``.
    """

    num_inputs = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: OptConfigType = None,
        output_size: int = 8,
        stride: int = 16,
        sampling_ratio: int = 0,
        aligned: bool = True,
    ) -> None:
        super().__init__()
        self.thin = ConvModule(
            in_channels, out_channels, kernel_size=1, norm_cfg=norm_cfg
        )
        self.align = C4RoIExtractor(
            output_size, stride, sampling_ratio, aligned
        )
        self.featmap_strides = self.align.featmap_strides

    def forward(self, feats: tuple[Tensor], rois: Tensor) -> Tensor:
        """Pool RoIs.

        Args:
            feats: One map (B, in_channels, H, W).
            rois: (R, 5) float, batch index and box in input pixels.

        Returns:
            (R, out_channels, output_size, output_size), not negative.
        """
        return self.align((self.thin(feats[0]),), rois)
