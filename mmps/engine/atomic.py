"""Files that are either the old one or the new one, whatever happens.

A file is written under a hidden temporary name in the same folder, forced to
the disk and then renamed, which a file system does in one step. A process
killed in between leaves the old file, and a temporary file that the next
writing of the same name replaces.
"""

import contextlib
import os
from pathlib import Path

from mmengine.fileio import register_backend
from mmengine.fileio.backends import LocalBackend

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
    path = Path(path)
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        rename_durably(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if not isinstance(error, OSError):
            raise
        raise CheckpointError(
            path,
            f'cannot write {len(content):,} bytes: {error.strerror or error}',
            'A previous file of this name is untouched. Free some space or '
            'set another work_dir, then resume',
        ) from error


def rename_durably(source: Path, target: Path) -> None:
    """Rename over ``target``, and see that the folder survives a crash."""
    os.replace(source, target)
    if os.name != 'posix':  # a folder cannot be opened elsewhere
        return
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


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
