"""NMS and RoIAlign of torchvision and of compiled mmcv, as ours are called.

What differs between them, and what is done about it:

| | torchvision | compiled mmcv 2.1 |
| --- | --- | --- |
| NMS, pixel offset | 0 alone | 0 or 1 |
| NMS, dtype | float32, float64 | float32 alone |
| NMS, equal scores | input order | any order: ranks replace scores |
| RoIAlign, samples per cell | -1 | 0 |
| RoIAlign, memory | any layout | reads NCHW whatever the strides say |

Both take regions of the dtype of the features; neither is called with no box
or no region (a launch of no threads is an error in mmcv's RoIAlign).
mmcv's RoIAlign on a CPU refuses regions that are turned inside out.

A box whose right side is left of its left side may fall either way. An IoU
that meets the threshold to the last bit may too: mmcv compares products, the
others quotients.

Source: mmcv 2.1, ``mmcv/ops/{nms,roi_align}.py`` and
``mmcv/ops/csrc/common/cuda/{nms,roi_align}_cuda_kernel.cuh``; torchvision,
``torchvision/csrc/ops/cuda/{nms,roi_align}_kernel.cu``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .mmcv_ext import is_supplied


@dataclass(frozen=True)
class Kernels:
    """The operators of one package.

    Attributes:
        name: 'torchvision' or 'mmcv'.
        version: Version of the package that the kernels come from.
        nms: ``(boxes, scores, iou_threshold, offset)`` to indices of the kept
            boxes, highest score first.
        roi_align: ``(features, rois, (h, w), spatial_scale, sampling_ratio,
            aligned)`` to (R, C, h, w).
        nms_offsets: What ``nms`` takes as ``offset``.
        nms_dtypes: What ``nms`` takes as boxes and scores.
    """

    name: str
    version: str
    nms: Callable[[Tensor, Tensor, float, int], Tensor]
    roi_align: Callable[..., Tensor]
    nms_offsets: tuple[int, ...]
    nms_dtypes: tuple[torch.dtype, ...]


def torchvision_kernels() -> Kernels:
    """Import torchvision.

    Raises:
        ImportError, RuntimeError, OSError: It is absent, or was built for
            another torch.
    """
    import torchvision
    from torchvision import ops

    def nms(boxes, scores, iou_threshold, offset):
        return ops.nms(boxes, scores, iou_threshold)

    def roi_align(
        features, rois, size, spatial_scale, sampling_ratio, aligned
    ):
        return ops.roi_align(
            features,
            rois,
            size,
            spatial_scale=spatial_scale,
            sampling_ratio=sampling_ratio or -1,
            aligned=aligned,
        )

    dtypes = (torch.float32, torch.float64)
    return Kernels(
        'torchvision', torchvision.__version__, nms, roi_align, (0,), dtypes
    )


def mmcv_kernels() -> Kernels:
    """Import the operators of full mmcv.

    Raises:
        ImportError: mmcv-lite is installed, or mmcv for another torch.
    """
    if is_supplied():
        raise ImportError('mmcv-lite has no compiled operators')
    import mmcv
    from mmcv import ops

    def nms(boxes, scores, iou_threshold, offset):
        order = scores.argsort(descending=True, stable=True)
        ranks = torch.arange(len(order), 0, -1, device=boxes.device)
        ranks = ranks.to(boxes.dtype)  # exact up to 2**24
        _, kept = ops.nms(boxes[order], ranks, iou_threshold, offset=offset)
        return order[kept]

    def roi_align(
        features, rois, size, spatial_scale, sampling_ratio, aligned
    ):
        return ops.roi_align(
            features.contiguous(),
            rois.contiguous(),
            size,
            spatial_scale,
            sampling_ratio,
            'avg',
            aligned,
        )

    return Kernels(
        'mmcv', mmcv.__version__, nms, roi_align, (0, 1), (torch.float32,)
    )
