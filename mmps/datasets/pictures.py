"""Picture files: their suffixes, their size by the header, what is too large.

Nothing is decoded.
"""

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import BinaryIO

from PIL import Image

from .errors import DatasetError

SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
#: Kinds of these, whatever a file is called, by the names of Pillow. Of others
#: the size that is checked need not be the one that OpenCV decodes.
KINDS = ('BMP', 'JPEG', 'PNG', 'TIFF', 'WEBP')
#: Pixels. Decoding and scaling take about 6 bytes each.
LARGEST = 100_000_000
_TOO_LARGE = (
    f'has more than {LARGEST // 1_000_000} million pixels',
    'save it smaller: the network scales it down in any case',
)
#: Pixels of the shorter side, and how many times that the longer one may be:
#: of anything narrower nothing is left once it has been scaled.
SMALLEST, NARROWEST = 16, 50


def picture_size(path: str | PathLike) -> tuple[int, int]:
    """Width and height of a picture as stored, from the header of its file.

    Raises:
        DatasetError: It cannot be read, is animated, or has more than
            ``LARGEST`` pixels.
    """
    try:
        size = _header(path)
    except DatasetError:
        raise
    except Exception as error:  # Pillow raises many types for a broken header
        raise DatasetError(
            path,
            f'its size cannot be read: {error}',
            'replace the picture, or take it out of the annotations',
        ) from error
    check_largest(*size, path)
    return size


def check_file(path: str | PathLike) -> None:
    """Refuse an image file by its header.

    A file that cannot be opened is left to whoever decodes it.

    Raises:
        DatasetError: Its header is none of ``KINDS``, or damaged; or by it
            the picture is animated, too large, too small or too narrow.
    """
    try:
        size = _header(path)
    except DatasetError:
        raise
    except Exception as error:  # as above
        if isinstance(error, OSError) and error.errno is not None:
            return
        raise DatasetError(
            path,
            'is no image that can be read (it has no header of a picture of '
            f'the kinds {", ".join(KINDS)}, or a damaged one)',
            'save it anew as JPEG or PNG',
        ) from error
    check_size(*size, path)


def check_size(width: int, height: int, name: str | PathLike) -> None:
    """Refuse a picture by its size.

    Args:
        width: Pixels.
        height: Pixels.
        name: What the picture is called in the message.

    Raises:
        DatasetError: It is too large, too small or too narrow.
    """
    check_largest(width, height, name)
    short, long = sorted((width, height))
    if short < SMALLEST or long > NARROWEST * short:
        raise DatasetError(
            name,
            f'has {width} x {height} pixels: nobody can be seen in it',
            f'each side needs at least {SMALLEST} pixels and 1/{NARROWEST} of '
            'the other one',
        )


def check_largest(width: int, height: int, name: str | PathLike) -> None:
    """Refuse a picture of more than ``LARGEST`` pixels, as ``check_size``."""
    if width * height > LARGEST:
        reason, hint = _TOO_LARGE
        raise DatasetError(name, f'{reason}: {width} x {height}', hint)


@contextmanager
def opened(path: str | PathLike) -> Iterator[Image.Image]:
    """Context of a picture file of ``KINDS``, whose header alone is read.

    Raises:
        DatasetError: It gives far more than ``LARGEST`` pixels.
        Exception: Many types, of a file that is missing or no such picture.
    """
    with warnings.catch_warnings():
        # Pillow warns of large pictures, and without their name of odd ones
        warnings.simplefilter('ignore')
        try:
            with Image.open(path, formats=KINDS) as image:
                yield image
        except Image.DecompressionBombError as error:
            raise DatasetError(path, *_TOO_LARGE) from error


def _header(path: str | PathLike) -> tuple[int, int]:
    with opened(path) as image:
        # of a damaged one OpenCV shows whatever lay in memory
        if image.format in ('PNG', 'WEBP') and image.is_animated:
            raise DatasetError(
                path,
                f'is an animation of {image.n_frames} frames',
                'save a frame of it as a picture of its own, or a video',
            )
        if image.format == 'PNG':
            _check_chunks(image.fp, path)
        return image.size


def _check_chunks(file: BinaryIO, path: str | PathLike) -> None:
    """Refuse a PNG with a part that is longer than what is left of the file.

    OpenCV makes room for what a part claims, up to 2 GB, before it reads.
    """
    size, at = os.path.getsize(path), 8
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack('>I4s', file.read(8))
        at += 12 + length
        if kind == b'IEND':
            break
    if at > size:
        raise DatasetError(
            path,
            'is no image that can be read (a part of it reaches beyond the '
            'end of the file: it was cut short, or is damaged)',
            'copy it again from its source',
        )
