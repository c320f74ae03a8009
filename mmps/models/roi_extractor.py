"""RoI features of the single C4 map."""

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from mmps.ops import roi_align


@MODELS.register_module()
class C4RoIExtractor(BaseModule):
    """RoIAlign on one feature map.

    mmdet's ``SingleRoIExtractor`` takes its layer from ``mmcv.ops``, whose
    RoIAlign needs compiled kernels.

    Args:
        output_size: Side of the pooled square, in cells: 14 before conv5.
        stride: Input pixels per cell of the feature map.
        sampling_ratio: Samples per cell and direction, 0 for adaptive.
        aligned: Whether boxes are shifted by half a cell, which centres the
            samples on the pixels.
    """

    num_inputs = 1

    def __init__(
        self,
        output_size: int = 14,
        stride: int = 16,
        sampling_ratio: int = 0,
        aligned: bool = True,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.featmap_strides = (stride,)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, feats: tuple[Tensor], rois: Tensor) -> Tensor:
        """Pool RoIs.

        Args:
            feats: One map (B, C, H, W).
            rois: (R, 5) float, batch index and box in input pixels.

        Returns:
            (R, C, output_size, output_size).
        """
        return roi_align(
            feats[0],
            rois,
            self.output_size,
            spatial_scale=1 / self.featmap_strides[0],
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
        )
