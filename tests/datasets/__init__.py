import mmps  # noqa: F401 (supplies mmcv._ext before mmdet is imported)
