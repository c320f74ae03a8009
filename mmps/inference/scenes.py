"""The pictures of a gallery: files, folders, videos and pixels in memory."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple, NoReturn

import cv2
import numpy as np

from mmps.datasets.errors import DatasetError
from mmps.datasets.pictures import SUFFIXES, check_largest

from .matches import Source

VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')

Picture = str | PathLike | np.ndarray


class Scene(NamedTuple):
    """A picture of a gallery.

    Attributes:
        source: Where it comes from.
        pixels: (H, W, 3) uint8, blue green red; None to read the file.
    """

    source: Source
    pixels: np.ndarray | None = None


class Listing(NamedTuple):
    """The files of a gallery.

    Attributes:
        items: Paths of images and videos, and pixels, in order.
        others: Paths of files in its folders that are neither, or whose name
            is no UTF-8.
    """

    items: list[str | np.ndarray]
    others: list[str]


def raise_it(error: DatasetError) -> NoReturn:
    """What is done about a broken picture unless something else is asked."""
    raise error


def as_scene(picture: Picture) -> Scene:
    """One picture.

    Args:
        picture: Path of an image file or (H, W, 3) uint8, blue green red.

    Raises:
        DatasetError: The name of the file is no UTF-8.
        FileNotFoundError: No such file.
        TypeError: Neither a path nor pixels, or not uint8.
        ValueError: Pixels of another shape, or none.
    """
    if isinstance(picture, np.ndarray):
        return Scene(Source(), _checked(picture))
    if not isinstance(picture, str | PathLike):
        raise TypeError(
            'a picture is the path of a file or an array (H, W, 3) of uint8, '
            f'got {type(picture).__name__}'
        )
    if not _is_text(str(picture)):
        raise DatasetError(
            ascii(str(picture)),
            'the name of this file is no UTF-8, and OpenCV would end the '
            'program',
            'rename it',
        )
    if not Path(picture).is_file():
        kind = 'is a folder' if Path(picture).is_dir() else 'no such file'
        raise FileNotFoundError(f'{picture}: {kind}; give an image file')
    return Scene(Source(str(picture)))


def listed(gallery: Picture | Sequence[Picture]) -> list[str | np.ndarray]:
    """Images, videos and pixels of a gallery: ``listing(gallery).items``."""
    return listing(gallery).items


def listing(gallery: Picture | Sequence[Picture]) -> Listing:
    """Files and pixels of a gallery, in order; nothing is read.

    Args:
        gallery: An image file, a video file, a folder (the images and videos
            in it and below it, sorted by path), pixels, or a list of these.

    Raises:
        FileNotFoundError: No such file or folder.
        TypeError: None of these.
        ValueError: A list without anything, a folder without an image or a
            video.
    """
    if isinstance(gallery, list | tuple):
        if not gallery:
            raise ValueError('the gallery is an empty list')
        found = Listing([], [])
        for part in map(listing, gallery):
            found.items.extend(part.items)
            found.others.extend(part.others)
        return found
    if isinstance(gallery, np.ndarray):
        return Listing([_checked(gallery)], [])
    if isinstance(gallery, str | PathLike) and Path(gallery).is_dir():
        return _in_folder(Path(gallery))
    return Listing([as_scene(gallery).source.image], [])


def _in_folder(folder: Path) -> Listing:
    found = Listing([], [])
    for path in sorted(folder.rglob('*')):
        if path.is_file():
            kind = path.suffix.lower() in (*SUFFIXES, *VIDEOS)
            read = kind and _is_text(str(path))
            (found.items if read else found.others).append(str(path))
    if not found.items:
        raise ValueError(
            f'{folder}: this folder and those in it hold no image '
            f'({", ".join(SUFFIXES)}) and no video ({", ".join(VIDEOS)})'
        )
    return found


def _is_text(path: str) -> bool:
    """Whether OpenCV survives a path: bytes that are no UTF-8 crash it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def scenes(
    items: Sequence[str | np.ndarray],
    every: int,
    on_broken: Callable[[DatasetError], object] = raise_it,
) -> Iterator[Scene]:
    """Pictures of a gallery, one after the other.

    Args:
        items: Paths and arrays, as ``listed`` gives them.
        every: Each so many frames of a video; the first frame is one.
        on_broken: Called with the error of a video that breaks off; its
            frames up to there count.
    """
    for item in items:
        if isinstance(item, np.ndarray):
            yield Scene(Source(), item)
        elif is_video(item):
            try:
                yield from video_scenes(
                    item, lambda number: number % every == 0
                )
            except DatasetError as error:
                on_broken(error)
        else:
            yield Scene(Source(item))


def num_scenes(items: Sequence[str | np.ndarray], every: int) -> int:
    """About how many pictures a gallery has: videos may name a wrong number.

    Args:
        items: Paths and arrays, as ``listed`` gives them.
        every: Each so many frames of a video.
    """
    return sum(
        -(-_num_frames(item) // every)
        if isinstance(item, str) and is_video(item)
        else 1
        for item in items
    )


def _num_frames(path: str) -> int:
    video = cv2.VideoCapture(path)
    try:
        return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        video.release()


def is_video(path: str | PathLike) -> bool:
    """Whether a file is a video, by its name."""
    return Path(path).suffix.lower() in VIDEOS


def video_scenes(path: str, wanted: Callable[[int], bool]) -> Iterator[Scene]:
    """Frames of a video, decoded in order.

    Args:
        path: Path of the video.
        wanted: Number of a frame from 0 -> whether it is one of them.

    Raises:
        DatasetError: The file cannot be opened, its frames are too large, or
            one cannot be decoded.
    """
    video = cv2.VideoCapture(path)
    try:
        _check_frames(video, path)
        number = 0
        while video.grab():
            if wanted(number):
                seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                fine, pixels = video.retrieve()
                if not fine:
                    raise DatasetError(path, f'cannot decode frame {number}')
                yield Scene(Source(path, number, seconds), pixels)
            number += 1
    finally:
        video.release()
    if not number:
        raise DatasetError(
            path,
            'is no video that OpenCV can open',
            'convert it to mp4 (H.264), or give its frames as images',
        )


def video_length(path: str) -> float:
    """Seconds of a video; 0 where it does not say."""
    video = cv2.VideoCapture(path)
    try:
        rate = video.get(cv2.CAP_PROP_FPS)
        return video.get(cv2.CAP_PROP_FRAME_COUNT) / rate if rate else 0.0
    finally:
        video.release()


def frame_at(path: str, seconds: float) -> np.ndarray:
    """A frame of a video, (H, W, 3) uint8, near a time.

    Raises:
        DatasetError: The file cannot be opened, its frames are too large, or
            it has no frame there.
    """
    video = cv2.VideoCapture(path)
    try:
        _check_frames(video, path)
        if seconds:
            video.set(cv2.CAP_PROP_POS_MSEC, 1000 * seconds)
        fine, pixels = video.read()
    finally:
        video.release()
    if not fine:
        raise DatasetError(
            path,
            f'is no video that OpenCV can read at {seconds:g} seconds',
            'convert it to mp4 (H.264), or give a frame of it as an image',
        )
    return pixels


def _check_frames(video: cv2.VideoCapture, path: str) -> None:
    """Refuse frames that are too large, before one is decoded."""
    sides = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
    width, height = (int(video.get(side)) for side in sides)
    check_largest(width, height, path)


def again(sources: Sequence[Source]) -> Iterator[tuple[int, Scene]]:
    """Pictures a second time, file after file.

    Args:
        sources: Where they come from.

    Yields:
        Position in ``sources`` and the picture; each position once.

    Raises:
        FileNotFoundError: A file is not there any more.
        ValueError: Pixels in memory, or a video that has become shorter.
    """
    of_file = defaultdict(lambda: defaultdict(list))
    for position, source in enumerate(sources):
        if source.image is None:
            raise ValueError(
                'a picture of the gallery was given as pixels, they cannot '
                'be read again; give files'
            )
        of_file[source.image][source.frame].append(position)
    for path, positions in of_file.items():
        scene = as_scene(path)
        if not is_video(path):
            yield from ((position, scene) for position in positions[None])
            continue
        for frame in video_scenes(path, positions.__contains__):
            number = frame.source.frame
            yield from ((position, frame) for position in positions[number])
            if number == max(positions):
                break
        else:
            raise ValueError(f'{path}: has no frame {max(positions)} any more')


def _checked(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype != np.uint8:
        raise TypeError(
            f'pixels must be uint8 in [0, 255], got {pixels.dtype}'
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f'pixels must be (H, W, 3), blue green red, got {pixels.shape}'
        )
    return pixels
