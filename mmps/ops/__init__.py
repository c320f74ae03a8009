"""RoIAlign, NMS and the stand-in for ``mmcv._ext``, in plain torch."""

from .nms import nms
from .roi_align import RoIAlign, roi_align

__all__ = ['RoIAlign', 'nms', 'roi_align']
