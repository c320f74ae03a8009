"""RoIAlign, NMS and the stand-in for ``mmcv._ext``, in plain torch."""
