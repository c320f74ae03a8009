"""Checkpoints: safe reading, whole writing, download, and what fits a model.

mmengine's loaders are replaced by safe ones as soon as they are there
(``schemes``).
"""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    download='cache_dir fetch',
    errors='CheckpointError',
    fit='KeyReport check_state_dict compare_keys',
    newest='newest_valid_checkpoint',
    reading='load_checkpoint_file',
    weights='fill_weights read_weights',
    writing='AtomicBackend write_atomically',
)
