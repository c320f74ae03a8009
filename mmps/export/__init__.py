"""Networks as ONNX files, which run without torch and mmdet."""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    describe='metadata_of',
    graphs='parts_of',
    write='export_network save',
)
