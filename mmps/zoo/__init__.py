"""Released networks: their index, verified download, publishing.

Importing this package registers ``zoo://NAME`` as a place of checkpoints.
"""

from .fetching import (
    fetch_file,
    is_address,
    mirrors,
    resolve,
    table_file,
    weights_file,
)
from .index import Entry, Index, ReleasedFile, load_index
from .scheme import load_from_zoo

__all__ = [
    'Entry',
    'Index',
    'ReleasedFile',
    'fetch_file',
    'is_address',
    'load_from_zoo',
    'load_index',
    'mirrors',
    'resolve',
    'table_file',
    'weights_file',
]
