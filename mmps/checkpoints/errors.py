"""The error of everything that reads or writes a checkpoint."""

from mmps.errors import InputError


class CheckpointError(InputError):
    """A checkpoint cannot be read, does not fit, or cannot be written."""
