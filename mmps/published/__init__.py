"""Trained networks of other code bases, turned into weights of mmps.

Nothing of theirs is here: tables say where each tensor of a published file
goes (``key_maps``), and one function applies a table (``convert``).
"""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    convert='Conversion convert_weights',
    identities='identity_table',
    key_maps='NETWORKS Network',
    source='Published read_published',
    write='write_converted',
)
