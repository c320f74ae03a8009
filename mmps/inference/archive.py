"""Brings the people of files into an archive, and can be killed at any time.

Files are worked on in chunks. One commit holds the people of a chunk and that
its files are done, so a file that is in the archive is there once, and one
whose process was killed before its commit is not there at all. Several
processes claim files before they work on them (``store_locks.py``).
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmps.datasets.errors import DatasetError
from mmps.errors import InputError
from mmps.evaluation.features import Boxes, joined, nobody

from .file_records import FileRecord
from .lance_store import LanceStore
from .matches import Source
from .origins import Origins
from .scenes import Scene, is_video, listing, num_scenes
from .store_locks import Claims

if TYPE_CHECKING:  # loads torch: not needed to see that nothing is due
    from .inferencer import Gallery, PersonSearchInferencer

#: Most images of a commit, and commits after which they are joined.
_LARGEST, _JOINED = 1024, 64
#: Seconds between two looks at files that other processes work on.
_WAIT = 0.5


@dataclass
class Added:
    """What ``ArchiveWriter.add`` did.

    Attributes:
        files: That are done now and were not before.
        people: That were added.
        known: Files that were done before.
        others: Files that another process did meanwhile.
        expired: Images that are older than what was deleted for its age.
        gone: Files that were deleted before they were looked at.
        broken: File -> why it, or the rest of it, cannot be read.
    """

    files: int = 0
    people: int = 0
    known: int = 0
    others: int = 0
    expired: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


class ArchiveWriter:
    """Adds the files of a gallery that an archive lacks.

    A file is known by its path, size and time of change; one that has changed
    replaces what the archive holds of it.

    Args:
        path: Folder of the archive; made with the first commit.
        gallery: Images, videos and folders.
        origins: Says which camera took a file, and when.
        every: Look at each so many frames of a video.

    Attributes:
        added: What was done so far.
        others: Files of folders that are neither images nor videos.

    Raises:
        FileNotFoundError: No such file or folder.
        InputError: A path that does not fit the pattern of ``origins``; no
            archive, or one that this program does not read.
        ValueError: A folder without images and videos.
    """

    def __init__(
        self,
        path: str | PathLike,
        gallery: 'Gallery',
        origins: Origins,
        every: int = 1,
    ) -> None:
        self.path, self.origins, self.every = Path(path), origins, every
        items, self.others = listing(gallery)
        if not all(isinstance(item, str) for item in items):
            raise InputError('gallery', 'an archive is of files, not pixels')
        files = list(dict.fromkeys(map(os.path.abspath, items)))
        for file in files:
            origins.check(file)
        self.store = None
        self.added = Added()
        if (self.path / 'archive.json').exists():
            self.store = LanceStore(self.path)
            self.store.finish_deletion()
        known = {} if self.store is None else self.store.records()
        self._horizons: dict[str | None, float] = {}
        self.files = [file for file in files if self._is_due(file, known)]

    def num_pictures(self) -> int:
        """About how many pictures are to be looked at."""
        return num_scenes(self.files, self.every)

    def add(
        self,
        inferencer: 'PersonSearchInferencer',
        *,
        batch_size: int = 8,
        strict: bool = False,
        seconds: float = 20,
        on_picture: Callable[[], object] = lambda: None,
        notes: dict[str, str | None] | None = None,
    ) -> Added:
        """Look at the files, and return when all are in the archive.

        Args:
            inferencer: Finds the people.
            batch_size: Pictures that pass the network together.
            strict: Raise the error of a file that cannot be read. By default
                it is noted in the archive, and not read again until it
                changes.
            seconds: About so much time lies between two commits; a kill loses
                at most the work since the last one.
            on_picture: Called after each picture.
            notes: Noted in a new archive.

        Raises:
            DatasetError: With ``strict``, a file that cannot be read.
            ValueError: The archive is of another network or threshold.
        """
        if self.store is not None:
            self.store.check_writer(
                inferencer.network.fingerprint, inferencer.det_thr
            )
        work = _Chunks(
            self, inferencer, batch_size, strict, seconds, on_picture, notes
        )
        self.path.mkdir(parents=True, exist_ok=True)
        waiting, size, commits = deque(self.files), batch_size, 0
        with Claims(self.path / 'claims.lock') as claims:
            while waiting:
                chunk = _next(waiting, size)
                mine = [file for file in chunk if claims.take(file)]
                waiting.extend(file for file in chunk if file not in mine)
                if not mine:
                    time.sleep(_WAIT)
                    continue
                begin, before = time.monotonic(), work.pictures
                commits += work.add(self._still_due(mine))
                for file in mine:
                    claims.release(file)
                if num := work.pictures - before:
                    rate = num / max(time.monotonic() - begin, 1e-3)
                    size = min(2 * size, int(rate * seconds), _LARGEST)
                    size = max(size, 1)
                if commits >= _JOINED:
                    self.store.compact()
                    commits = 0
        if commits > 1:
            self.store.compact()
        return self.added

    def _is_due(self, file: str, known: dict[str, FileRecord]) -> bool:
        record = known.get(file)
        if record and record.done and record.is_of(os.stat(file)):
            self.added.known += 1
            return False
        if self.store is None or is_video(file):
            return True
        # of a video the last frame decides, when it has been read
        camera, taken = self.origins.of_file(file)
        if taken < self.horizon(camera):
            self.added.expired.append(file)
            return False
        return True

    def horizon(self, camera: str | None) -> float:
        """Pictures of a camera that are older must not come back."""
        if self.store is None:
            return -math.inf
        if camera not in self._horizons:
            self._horizons[camera] = self.store.horizon(camera)
        return self._horizons[camera]

    def _still_due(self, files: Sequence[str]) -> dict:
        """Files -> what is there of them already, without those done."""
        if self.store is None and (self.path / 'archive.json').exists():
            self.store = LanceStore(self.path)  # another process made it
        known = {}
        if self.store is not None and files:
            known = self.store.records(files)
        due = {}
        for file in files:
            try:
                stat = os.stat(file)
            except FileNotFoundError:
                self.added.gone.append(file)
                continue
            record = known.get(file)
            if record and record.is_of(stat):
                if record.done:
                    self.added.others += 1
                    continue
            elif record:
                self.store.forget([file])
                record = None
            due[file] = record, stat
        return due


class _Chunks:
    """Looks at chunks of files, and commits each; args as of ``add``."""

    def __init__(
        self,
        writer: ArchiveWriter,
        inferencer: 'PersonSearchInferencer',
        batch_size: int,
        strict: bool,
        seconds: float,
        on_picture: Callable[[], object],
        notes: dict[str, str | None] | None,
    ) -> None:
        self.writer, self.inferencer = writer, inferencer
        self.batch_size, self.strict = batch_size, strict
        self.seconds, self.on_picture = seconds, on_picture
        self.notes = notes or {}
        self.pictures = 0

    def add(self, due: dict) -> int:
        """Look at files that this process has claimed; how many commits.

        Args:
            due: File -> its record so far, or None, and its ``stat``.
        """
        if not due:
            return 0
        broken: dict[str, str] = {}
        commits = 0
        self._last: dict[str, Source] = {}
        self._begin()

        def note(error: DatasetError) -> None:
            if self.strict:
                raise error
            broken.setdefault(error.file, str(error))

        def unseen(scenes: Iterable[Scene], total: int) -> Iterator[Scene]:
            for scene in scenes:
                record, _ = due[scene.source.image]
                if record is None or scene.source.frame > record.frame:
                    yield scene
                self.on_picture()

        for source, boxes in self.inferencer.stream(
            list(due),
            every=self.writer.every,
            batch_size=self.batch_size,
            skip_broken=note,
            progress=unseen,
        ):
            self._take(self.writer.origins(source), boxes)
            spent = time.monotonic() - self._since
            if source.frame is not None and spent > self.seconds:
                self._commit([self._record(source.image, due, False)])
                commits += 1
        records = [
            self._record(file, due, True, broken.get(file, '')) for file in due
        ]
        self._commit(records)
        self.writer.added.files += len(due)
        self.writer.added.broken.update(broken)
        return commits + 1

    def _begin(self) -> None:
        self._since = time.monotonic()
        self._sources: list[Source] = []
        self._boxes: list[Boxes] = []
        self._pictures: dict[str, int] = {}

    def _take(self, source: Source, boxes: Boxes) -> None:
        self._last[source.image] = source
        num = self._pictures.get(source.image, 0)
        self._pictures[source.image] = num + 1
        self.pictures += 1
        if source.time < self.writer.horizon(source.camera):
            boxes = boxes.where(np.zeros(len(boxes), bool))
        self._sources.append(source)
        self._boxes.append(boxes)

    def _record(
        self, file: str, due: dict, done: bool, note: str = ''
    ) -> FileRecord:
        known, stat = due[file]
        if last := self._last.get(file):
            camera, taken, frame = last.camera, last.time, last.frame
        elif known is not None:
            camera, taken, frame = known.camera, known.time, known.frame
        else:
            (camera, taken), frame = self.writer.origins.of_file(file), None
        return FileRecord(
            *(file, stat.st_size, stat.st_mtime_ns, camera, taken, frame),
            *(self._pictures.get(file, 0), done, note),
        )

    def _commit(self, records: list[FileRecord]) -> None:
        writer = self.writer
        if self._boxes:
            boxes = joined(self._boxes)
        elif writer.store is not None:
            boxes = nobody(writer.store.dims)
        else:  # no file could be read, and D is not known yet
            return
        if writer.store is None:
            writer.store = LanceStore.create(
                writer.path,
                self.inferencer.network.fingerprint,
                self.inferencer.det_thr,
                boxes.embeddings.shape[1],
                **self.notes,
            )
        writer.store.add(self._sources, boxes, records)
        writer.added.people += len(boxes)
        self._begin()


def _next(waiting: deque[str], size: int) -> list[str]:
    """A video, or up to so many images."""
    chunk = [waiting.popleft()]
    while (
        waiting
        and len(chunk) < size
        and not is_video(chunk[0])
        and not is_video(waiting[0])
    ):
        chunk.append(waiting.popleft())
    return chunk
