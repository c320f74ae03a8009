"""Released networks: their index, verified download, publishing.

Importing this package registers ``zoo://NAME`` as a place of checkpoints.
"""

from mmps.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    fetching='fetch_file is_address mirrors resolve table_file weights_file',
    index='Entry Index ReleasedFile load_index',
    scheme='load_from_zoo',
)
