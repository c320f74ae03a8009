"""``zoo://NAME`` wherever mmengine expects a checkpoint."""

from mmengine.runner.checkpoint import CheckpointLoader

from mmps.checkpoints import load_checkpoint_file

from .fetching import weights_file


@CheckpointLoader.register_scheme(prefixes='zoo://', force=True)
def load_from_zoo(filename: str, map_location=None) -> dict:
    """Download, verify and load released weights."""
    return load_checkpoint_file(weights_file(filename), map_location)
