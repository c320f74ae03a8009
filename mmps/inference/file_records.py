"""Which files an archive has looked at, and how far."""

import os
from typing import NamedTuple


class FileRecord(NamedTuple):
    """A file of an archive, or a piece of a video.

    Attributes:
        file: Absolute path.
        size: Bytes, when it was read.
        mtime_ns: Time of its last change, when it was read.
        camera: That took it.
        time: Of its last picture so far, seconds since 1970.
        frame: Last frame so far that was looked at; None for an image.
        pictures: That were looked at, in this piece.
        done: Whether nothing is left to look at.
        note: Why it, or the rest of it, cannot be read; '' if it can.
    """

    file: str
    size: int
    mtime_ns: int
    camera: str | None = None
    time: float | None = None
    frame: int | None = None
    pictures: int = 0
    done: bool = True
    note: str = ''

    def is_of(self, stat: os.stat_result) -> bool:
        """Whether the file is still the one that was read."""
        return (self.size, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)

    def merged(self, other: 'FileRecord | None') -> 'FileRecord':
        """Both pieces of a file as one; the later one says how far it is."""
        if other is None:
            return self
        first, last = sorted(
            (self, other), key=lambda each: (each.done, each.frame or 0)
        )
        return last._replace(pictures=first.pictures + last.pictures)
