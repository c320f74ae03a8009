"""Repairs of the stock packages; runs when ``mmps`` is imported."""

from mmps.ops import mmcv_ext

mmcv_ext.supply()
