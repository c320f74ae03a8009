"""RoIAlign, NMS and the stand-in for ``mmcv._ext``, in plain torch.

On a GPU the kernels of torchvision or of compiled mmcv take their place where
they are installed: ``choice.py``.
"""

from .choice import describe_operators
from .nms import nms
from .roi_align import roi_align

__all__ = ['describe_operators', 'nms', 'roi_align']
