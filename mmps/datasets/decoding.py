"""Pixels of a picture file, as all that shows or searches them has them."""

from os import PathLike

import cv2
import numpy as np

from .errors import DatasetError
from .pictures import check_file

#: As ``LoadScene``: the orientation that a camera wrote into a file is not
#: applied, the boxes belong to the pixels as stored.
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_pixels(path: str | PathLike) -> np.ndarray:
    """Pixels (H, W, 3) uint8 of an image file, blue green red.

    Raises:
        DatasetError: There is no such file, it is no image or not all of one,
            or one of a size that cannot be used (``pictures.check_file``).
    """
    check_file(path)
    try:
        # decoded from memory: OpenCV reads a file that was cut short, and
        # leaves what is missing grey
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), _AS_STORED)
    except (OSError, cv2.error) as error:
        why = 'OpenCV cannot decode it'
        if isinstance(error, OSError):
            why = error.strerror or error
        raise _error(path, why) from error
    if pixels is None:
        raise _error(path, 'OpenCV does not know it, or it was cut short')
    return pixels


def _error(path: str | PathLike, why: object) -> DatasetError:
    return DatasetError(path, f'is no image that can be read ({why})')
