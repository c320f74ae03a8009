"""Which process does what: files of claims in a folder that all share.

A claim is a file that one process alone could create. Its owner touches it
every few seconds; when it has not been touched for ``stale_after`` seconds,
the owner is taken for dead and another process may take its work over.

Every take-over is a file of its own, ``<name>.<n>.claim`` with a rising n, so
that creating it decides who has won, and nobody removes a file that another
process has just made. A process that was only paused and goes on does its work
twice, which costs time; it can break nothing, because results are written
whole and are the same.

Ages are differences of times that the file system itself has set: the clocks
of the machines need not agree.
"""

import contextlib
import os
import socket
import threading
from pathlib import Path


class Claims:
    """The claims of this process; a context that keeps them alive.

    Args:
        folder: Shared by all processes; made if it does not exist.
        stale_after: Seconds without a sign of life after which a claim may
            be taken over. Choose more than a file system may delay what
            others see (NFS: up to 60).
    """

    def __init__(self, folder: Path, stale_after: float = 120) -> None:
        if stale_after <= 0:
            raise ValueError(
                f'stale_after must be > 0 seconds, got {stale_after}'
            )
        self.folder = Path(folder)
        self.stale_after = stale_after
        self._owner = f'{socket.gethostname()}-{os.getpid()}-{id(self)}'
        self._clock = self.folder / f'{self._owner}.clock'
        self._mine: dict[str, Path] = {}
        self._ended = threading.Event()
        self._thread = None

    def __enter__(self) -> 'Claims':
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ended.clear()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._ended.set()
        self._thread.join()
        for name in list(self._mine):
            self.release(name)
        self._clock.unlink(missing_ok=True)

    def take(self, name: str) -> bool:
        """Claim ``name``; False while another process has it."""
        number = 0
        while True:
            path = self._file(name, number)
            try:
                file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                if self._file(name, number + 1).exists():
                    number += 1
                    continue
                try:
                    age = self._now() - path.stat().st_mtime
                except FileNotFoundError:  # released in this moment
                    return False
                if age <= self.stale_after:
                    return False
                number += 1
                continue
            with os.fdopen(file, 'w') as handle:
                handle.write(self._owner + '\n')
            self._mine[name] = path
            return True

    def has(self, name: str) -> bool:
        """Whether this process has claimed ``name``."""
        return name in self._mine

    def release(self, name: str) -> None:
        """Give a claim back, after its work is done or has failed."""
        path = self._mine.pop(name)
        stem, number, _ = path.name.rsplit('.', 2)
        if self._file(stem, int(number) + 1).exists():
            return  # taken over meanwhile
        for older in range(int(number) + 1):
            self._file(stem, older).unlink(missing_ok=True)

    def _file(self, name: str, number: int) -> Path:
        return self.folder / f'{name}.{number}.claim'

    def _now(self) -> float:
        """Time of the file system."""
        self._clock.touch()
        return self._clock.stat().st_mtime

    def _beat(self) -> None:
        while not self._ended.wait(self.stale_after / 6):
            for path in list(self._mine.values()):
                with contextlib.suppress(OSError):
                    os.utime(path)
