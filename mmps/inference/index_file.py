"""A gallery index that is kept in a file and used again."""

from os import PathLike
from pathlib import Path

import numpy as np

from .gallery_index import GalleryIndex
from .inferencer import (
    Gallery,
    PersonSearchInferencer,
    Progress,
    SkipBroken,
)
from .origins import Origins
from .scenes import is_video, listed


def stored_index(
    inferencer: PersonSearchInferencer,
    path: str | PathLike,
    gallery: Gallery,
    *,
    every: int = 1,
    batch_size: int = 8,
    skip_broken: SkipBroken = False,
    progress: Progress | None = None,
    origins: Origins | None = None,
) -> GalleryIndex:
    """Read the index of a gallery; build and write it if there is none.

    Args:
        inferencer: Makes the index.
        path: Of the index. It holds personal data (``gallery_index.py``).
        gallery: Files, no pixels.
        every: As of ``PersonSearchInferencer.search``.
        batch_size: Pictures that pass the network together.
        skip_broken: As of ``PersonSearchInferencer.search``; of an index that
            is there already, its ``broken`` says what is not in it.
        progress: As of ``PersonSearchInferencer.search``.
        origins: Cameras and times of an index that is made; ``Origins()`` for
            None. An index that is there keeps its own.

    Raises:
        ValueError: The index there is damaged, of another network, threshold
            or gallery, or older than a file of the gallery.
    """
    files = listed(gallery)
    if any(isinstance(item, np.ndarray) for item in files):
        raise ValueError(
            'a stored index is known by the files of its gallery; for pixels '
            'use PersonSearchInferencer.index and GalleryIndex.save'
        )
    if not Path(path).exists():
        index = inferencer.index(
            gallery,
            every=every,
            batch_size=batch_size,
            skip_broken=skip_broken,
            progress=progress,
            origins=origins or Origins(),
        )
        index.save(path)
        return index
    index = GalleryIndex.load(path)
    index.check_maker(inferencer.network.fingerprint, inferencer.det_thr)
    wrong = _differs(index, Path(path), files, every)
    if wrong:
        raise ValueError(
            f'{path}: {wrong}; delete it to build it again, or give another '
            'path'
        )
    return index


def _differs(
    index: GalleryIndex, path: Path, files: list[str], every: int
) -> str | None:
    """Why an index is not that of a gallery."""
    frames: dict[str | None, list[int | None]] = {}
    for source in index.sources:
        frames.setdefault(source.image, []).append(source.frame)
    known = {*frames, *index.broken}
    there = [file for file in dict.fromkeys(files) if file in frames]
    if list(frames) != there or not known.issuperset(files):
        return (
            f'is the index of other files ({len(known)}, the gallery has '
            f'{len(files)})'
        )
    for file, numbers in frames.items():
        expected = [every * i for i in range(len(numbers))]
        if is_video(file) and numbers != expected:
            return f'has other frames of {file} than every {every}'
    for file in files:
        if Path(file).stat().st_mtime > path.stat().st_mtime:
            return f'is older than {file}, which has changed'
    return None
