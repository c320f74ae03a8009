"""Locks of a folder that several processes write; the system frees them.

A process that is killed holds no lock any more, so none is ever left behind.
The folder must lie on a file system with POSIX locks: a local disk, or NFS.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def exclusive(path: str | os.PathLike) -> Iterator[None]:
    """Hold a lock file; waits for whoever holds it.

    Args:
        path: It is made if it does not exist, and stays.
    """
    import fcntl

    with open(path, 'ab') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing frees it


class Claims:
    """Says to other processes on which files this one works.

    A claim is a lock on one byte of a file, whose number is a hash of the
    name; two names that share one just wait for each other.

    Args:
        path: Of the lock file. One object a process: closing another one of
            the same path would free the claims of this one.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def __enter__(self) -> 'Claims':
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def take(self, name: str) -> bool:
        """Whether the file is this process's now, not another's."""
        import fcntl

        try:
            fcntl.lockf(
                self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(name)
            )
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, name: str) -> None:
        """Let other processes have it."""
        import fcntl

        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _byte(name))


def _byte(name: str) -> int:
    digest = hashlib.sha256(name.encode('utf-8', 'surrogateescape')).digest()
    return int.from_bytes(digest[:8], 'big') >> 2  # fits a signed 64-bit
