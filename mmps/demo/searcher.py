"""What the page does, without the page: pictures in, ranked people out."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmps.datasets.errors import DatasetError
from mmps.datasets.pictures import SUFFIXES
from mmps.inference import (
    GalleryIndex,
    GalleryStore,
    PersonSearchInferencer,
    Where,
    best_groups,
)
from mmps.inference.archive_notes import is_archive
from mmps.inference.groups import GAP, Group
from mmps.inference.inferencer import Progress
from mmps.inference.lance_store import LanceStore
from mmps.inference.scenes import (
    VIDEOS,
    as_scene,
    frame_at,
    is_video,
    listed,
)

from .picking import Query

#: Galleries whose index is kept in memory.
KEPT = 4
#: Pictures that a query-guided network looks at together with the query.
RERANK = 20
#: Matches of an archive that are grouped, for each group that is shown.
DEEP = 50


class Found(NamedTuple):
    """What a search has found.

    Attributes:
        groups: Best first: appearances in videos, and matches in images.
        pictures: (H, W, 3) uint8, blue green red, with the best match of each
            group.
        num_images: Pictures of the gallery; None of an archive.
        num_people: Detections in them.
        left_out: Paths of files that cannot be read.
        missed: Share of the best matches that the index of an archive may
            miss; None where everybody was looked at.
    """

    groups: list[Group]
    pictures: list[np.ndarray]
    num_images: int | None
    num_people: int
    left_out: tuple[str, ...] = ()
    missed: float | None = None


class Searcher:
    """Searches for several people at once, one after the other.

    Embeddings of galleries are kept in memory and nowhere else.

    Args:
        inferencer: Finds people.
    """

    def __init__(self, inferencer: PersonSearchInferencer) -> None:
        self.inferencer = inferencer
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, GalleryIndex] = OrderedDict()

    def query(self, path: str | PathLike, seconds: float = 0.0) -> Query:
        """Read a picture and detect the people in it.

        Args:
            path: Of an image or a video.
            seconds: Time of the frame, of a video.

        Raises:
            ValueError: The file is neither, or too large or too small.
        """
        if is_video(path):
            picture = frame_at(str(path), seconds)
        else:
            picture = self._read(path)
        with self._lock:
            people = self.inferencer.index([picture]).boxes.bboxes
        return Query(picture, people, Path(path).name)

    def _read(self, path: str | PathLike) -> np.ndarray:
        """Pixels of an image, as those of a gallery are read."""
        try:
            return self.inferencer.network.read(as_scene(path))
        except DatasetError as error:
            hint = error.hint or f'give one of {", ".join(SUFFIXES)}'
            raise ValueError(
                f'{Path(path).name} {error.problem}; {hint}'
            ) from error

    def search(
        self,
        query: Query | None,
        gallery: Sequence[str] | GalleryStore,
        *,
        top: int = 10,
        every: int = 25,
        least: float = -1.0,
        where: Where | None = None,
        progress: Progress | None = None,
    ) -> Found:
        """Rank the people of a gallery.

        Args:
            query: Whom to search for.
            gallery: Images and videos, see ``gallery_in``; or an archive.
            top: How many groups.
            every: Each so many frames of a video.
            least: Matches that are less similar are left out.
            where: People of an archive that are looked at; all for None.
            progress: Shows how far a new gallery has been gone through, see
                ``PersonSearchInferencer.search``.

        Raises:
            ValueError: Nobody was picked, a file cannot be read, ...
        """
        if query is None:
            raise ValueError('there is no picture yet: pick an example above')
        if query.box is None:
            raise ValueError(
                'nobody is picked yet: click a person in the picture'
            )
        guided = self.inferencer.query_guided
        archived = isinstance(gallery, GalleryStore)
        # frames of a video are grouped before the first ones are taken
        if archived:
            ranked = DEEP * top
        else:
            ranked = None if any(map(is_video, gallery)) else top
        with self._lock:
            index = gallery
            if not archived:
                index = self._index(gallery, every, progress)
            matches = self.inferencer.search(
                query.picture,
                query.box,
                index,
                top=ranked,
                rerank=RERANK if guided else None,
                where=where,
            )
            groups = best_groups(
                [match for match in matches if match.similarity >= least],
                GAP,
                top,
                self.inferencer.network.match_threshold,
            )
            if archived:
                groups, pictures, gone = self._still_there(groups)
                missed = None if index.exact else 1 - (index.recall or 0)
                return Found(groups, pictures, None, len(index), gone, missed)
            pictures = self.inferencer.pictures([g.best for g in groups])
        return Found(
            *(groups, pictures, len(index.sources), len(index)),
            left_out=index.broken,
        )

    def _still_there(self, groups: list[Group]) -> tuple:
        """Groups with their pictures, and the files that are gone."""
        of_file = defaultdict(list)
        for group in groups:
            of_file[group.best.source.image].append(group)
        read, gone = {}, []
        for file, its in of_file.items():  # a video is gone through once
            try:
                found = self.inferencer.pictures([g.best for g in its])
            except (OSError, ValueError):
                gone.append(file)
            else:
                read.update(zip(its, found, strict=True))
        shown = [group for group in groups if group in read]
        return shown, [read[group] for group in shown], tuple(gone)

    def _index(
        self, files: Sequence[str], every: int, progress: Progress | None
    ) -> GalleryIndex:
        self._forget_deleted()
        key = (every, *map(_version, files))
        if key not in self._kept:
            self._kept[key] = self.inferencer.index(
                files, every=every, skip_broken=True, progress=progress
            )
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    def _forget_deleted(self) -> None:
        """Whoever deletes the pictures deletes the embeddings, too."""
        for key, index in list(self._kept.items()):
            paths = {source.image for source in index.sources}
            if not all(Path(path).exists() for path in paths):
                del self._kept[key]


def gallery_in(folder: str | None) -> list[str] | GalleryStore:
    """What somebody typed: a folder with images and videos, one file, or an
    archive.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: Nothing was typed, or the folder holds neither.
        InputError: An archive that cannot be read.
    """
    if not folder or not folder.strip():
        raise ValueError('type the path of a folder of this computer')
    path = Path(folder.strip()).expanduser()
    return LanceStore(path) if is_archive(path) else listed(path)


def files_uploaded(paths: Sequence[str] | None) -> list[str]:
    """Images and videos that somebody uploaded.

    Raises:
        ValueError: Nothing was uploaded, or other files.
    """
    if not paths:
        raise ValueError('the gallery is empty: add images or a video')
    for path in map(Path, paths):
        if path.suffix.lower() not in (*SUFFIXES, *VIDEOS):
            raise ValueError(
                f'{path.name} is neither an image ({", ".join(SUFFIXES)}) nor '
                f'a video ({", ".join(VIDEOS)})'
            )
        if not path.exists():
            raise ValueError(
                f'{path.name} is deleted already, as every upload after an '
                'hour: upload it again'
            )
    return [str(path) for path in paths]


def _version(path: str) -> tuple[str, int, int]:
    stat = Path(path).stat()
    return path, stat.st_size, stat.st_mtime_ns
