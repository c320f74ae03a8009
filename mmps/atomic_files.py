"""Files that are either the old one or the new one, whatever happens.

A file is written under a hidden temporary name in the same folder, forced to
the disk and then renamed, which a file system does in one step. A process
killed in between leaves the old file, and a temporary file that the next
writing of the same name replaces.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def open_atomically(
    path: str | os.PathLike, shared: bool = False
) -> Iterator[BinaryIO]:
    """Open a file to write; on failure the old one stays and nothing else.

    Args:
        path: The folder is created if it does not exist.
        shared: Other processes may write the same path at the same time. The
            temporary name then has the number of the process in it, so that
            one that is killed leaves a file that nothing replaces.

    Raises:
        OSError: The disk is full, the folder is read-only, ...; names
            ``path``.
    """
    path = Path(path)
    number = f'.{os.getpid()}' if shared else ''
    temporary = path.with_name(f'.{path.name}{number}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        rename_durably(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        nameless = isinstance(error, OSError) and error.filename is None
        if nameless and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text in UTF-8, whole or not at all.

    Args:
        path: As of ``open_atomically``; may be shared.
        text: Lines end as they do here, whatever the system.
    """
    with open_atomically(path, shared=True) as file:
        file.write(text.encode())


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
