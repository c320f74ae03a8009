"""Checkpoints are written whole or not at all (``mmps.atomic_files``)."""

from pathlib import Path

from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend

from mmps.atomic_files import open_atomically

from .errors import CheckpointError


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file; on failure the old one stays and nothing else does.

    Two processes must not write the same path at once.

    Args:
        path: The folder is created if it does not exist.
        content: All of the file.

    Raises:
        CheckpointError: The disk is full, the folder is read-only, ...
    """
    try:
        with open_atomically(path) as file:
            file.write(content)
    except OSError as error:
        raise CheckpointError(
            path,
            f'cannot write {len(content):,} bytes: {error.strerror or error}',
            'A previous file of this name is untouched. Free some space or '
            'set another work_dir, then resume',
        ) from error


@register_backend('mmps.atomic')
class AtomicBackend(LocalBackend):
    """mmengine's local files, but written atomically.

    Used by ``backend_args=dict(backend='mmps.atomic')``; mmengine's own
    default backend stays as it is.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes atomically."""
        write_atomically(filepath, obj)

    def put_text(
        self, obj: str, filepath: str | Path, encoding: str = 'utf-8'
    ) -> None:
        """Write text atomically."""
        write_atomically(filepath, obj.encode(encoding))
