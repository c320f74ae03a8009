"""Released networks: their index, verified download, publishing.

``zoo://NAME`` is a place of checkpoints as soon as mmengine can load one.
"""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    errors='ZooError',
    external='External external_details external_overview load_external',
    fetching='download fetch_external fetch_file is_address mirrors resolve '
    'table_file verify weights_file',
    index='Entry Index ReleasedFile load_index',
    scheme='load_from_zoo',
)
