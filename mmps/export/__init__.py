"""Networks as ONNX files, which run without torch and mmdet."""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    check='differences total',
    describe='metadata_of',
    quantization='quantize with_measured',
    write='export_network',
)
