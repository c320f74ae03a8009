"""The pictures of a gallery: files, folders, videos and pixels in memory."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .matches import Source

IMAGES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
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


def as_scene(picture: Picture) -> Scene:
    """One picture.

    Args:
        picture: Path of an image file or (H, W, 3) uint8, blue green red.

    Raises:
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
    if not Path(picture).is_file():
        kind = 'is a folder' if Path(picture).is_dir() else 'no such file'
        raise FileNotFoundError(f'{picture}: {kind}; give an image file')
    return Scene(Source(str(picture)))


def listed(gallery: Picture | Sequence[Picture]) -> list[str | np.ndarray]:
    """Files and pixels of a gallery, in order; nothing is read.

    Args:
        gallery: An image file, a video file, a folder (the images in it and
            below it, sorted by path), pixels, or a list of these.

    Raises:
        FileNotFoundError: No such file or folder.
        TypeError: None of these.
        ValueError: A list without anything, a folder without an image.
    """
    if isinstance(gallery, list | tuple):
        if not gallery:
            raise ValueError('the gallery is an empty list')
        return [item for part in gallery for item in listed(part)]
    if isinstance(gallery, np.ndarray):
        return [_checked(gallery)]
    if isinstance(gallery, str | PathLike) and Path(gallery).is_dir():
        found = [
            str(path)
            for path in sorted(Path(gallery).rglob('*'))
            if path.suffix.lower() in IMAGES and path.is_file()
        ]
        if not found:
            raise ValueError(
                f'{gallery}: this folder and those in it hold no image '
                f'({", ".join(IMAGES)}); a video is given as a file'
            )
        return found
    return [as_scene(gallery).source.image]


def scenes(items: Sequence[str | np.ndarray], every: int) -> Iterator[Scene]:
    """Pictures of a gallery, one after the other.

    Args:
        items: Paths and arrays, as ``listed`` gives them.
        every: Each so many frames of a video; the first frame is one.
    """
    for item in items:
        if isinstance(item, np.ndarray):
            yield Scene(Source(), item)
        elif is_video(item):
            yield from video_scenes(item, lambda number: number % every == 0)
        else:
            yield Scene(Source(item))


def is_video(path: str | PathLike) -> bool:
    """Whether a file is a video, by its name."""
    return Path(path).suffix.lower() in VIDEOS


def video_scenes(path: str, wanted: Callable[[int], bool]) -> Iterator[Scene]:
    """Frames of a video, decoded in order.

    Args:
        path: Path of the video.
        wanted: Number of a frame from 0 -> whether it is one of them.

    Raises:
        ValueError: The file cannot be opened, or a frame not be decoded.
    """
    video = cv2.VideoCapture(path)
    try:
        number = 0
        while video.grab():
            if wanted(number):
                seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                fine, pixels = video.retrieve()
                if not fine:
                    raise ValueError(f'{path}: cannot decode frame {number}')
                yield Scene(Source(path, number, seconds), pixels)
            number += 1
    finally:
        video.release()
    if not number:
        raise ValueError(
            f'{path}: is no video that OpenCV can open; convert it to mp4 '
            '(H.264), or give its frames as images'
        )


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
