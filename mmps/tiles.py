"""Small framed pictures of people, the bricks of every sheet."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

#: Colour of the frame of a query, blue green red.
QUERY = (180, 120, 0)
#: Pixels: inside of a tile, its frame, one line of its caption, white around.
TILE_HEIGHT, TILE_WIDTH, BORDER, CAPTION, MARGIN = 168, 84, 4, 18, 2


def read_picture(path: str | Path) -> np.ndarray:
    """Pixels (H, W, 3) uint8, blue green red, as stored.

    The orientation that a camera wrote into the file is not applied, as in
    ``LoadScene``: boxes belong to the pixels as stored.

    Raises:
        FileNotFoundError: The file is missing or no picture.
    """
    picture = cv2.imread(
        str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if picture is None:
        raise FileNotFoundError(
            f'{path} is missing or no picture; give the folder that holds the '
            'images of this test set'
        )
    return picture


def tile_of(
    picture: np.ndarray,
    bbox: Sequence[float],
    colour: tuple[int, int, int],
    *captions: str,
    scale: float = 1.0,
) -> np.ndarray:
    """Crop a box with a little around it into a framed tile.

    Args:
        picture: (H, W, 3) uint8.
        bbox: x1, y1, x2, y2 in its pixels.
        colour: Of the frame.
        captions: Lines below.
        scale: Of the inside; frame and captions keep their size.
    """
    width, height = round(TILE_WIDTH * scale), round(TILE_HEIGHT * scale)
    patch = _window(picture, bbox, width / height)
    patch = cv2.resize(patch, (width, height), interpolation=cv2.INTER_CUBIC)
    patch = cv2.copyMakeBorder(
        patch, *(BORDER,) * 4, cv2.BORDER_CONSTANT, value=colour
    )
    tile = cv2.copyMakeBorder(
        patch,
        *(MARGIN, CAPTION * len(captions), MARGIN, MARGIN),
        cv2.BORDER_CONSTANT,
        value=(255, 255, 255),
    )
    below = height + 2 * BORDER + MARGIN
    for line, caption in enumerate(captions, 1):
        at = (BORDER, below + line * CAPTION - 5)
        write_text(tile, caption, at, colour)
    return tile


def _window(
    picture: np.ndarray, bbox: Sequence[float], shape: float
) -> np.ndarray:
    """A window around a box, moved into the picture as far as it fits.

    Args:
        picture: (H, W, 3) uint8.
        bbox: x1, y1, x2, y2 in its pixels.
        shape: Width over height.
    """
    x1, y1, x2, y2 = bbox
    height = max(y2 - y1, (x2 - x1) / shape) * 1.08
    size = (max(1, round(height * shape)), max(1, round(height)))
    centre = [
        limit / 2 if side > limit else min(max(at, side / 2), limit - side / 2)
        for at, side, limit in zip(
            ((x1 + x2) / 2, (y1 + y2) / 2),
            size,
            picture.shape[1::-1],
            strict=True,
        )
    ]
    # -0.5: for OpenCV the middle of the first pixel is 0
    return cv2.getRectSubPix(picture, size, [at - 0.5 for at in centre])


def write_text(
    picture: np.ndarray,
    text: str,
    at: tuple[int, int],
    colour: tuple[int, int, int],
) -> None:
    """Write one line; ``at`` is the left end of its base line."""
    cv2.putText(
        picture,
        text,
        at,
        cv2.FONT_HERSHEY_SIMPLEX,
        0.42,
        colour,
        1,
        cv2.LINE_AA,
    )


def shortened(text: str, width: int) -> str:
    """The end of a text that is no wider than ``width`` pixels."""
    if _width(text) <= width:
        return text
    while len(text) > 1 and _width(f'..{text}') > width:
        text = text[1:]
    return f'..{text}'


def _width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    return width


def save_picture(picture: np.ndarray, out: str | Path) -> None:
    """Write a picture; the ending of the name says in which format.

    Raises:
        OSError: It cannot be written there, or in no such format.
    """
    if not cv2.haveImageWriter(str(out)) or not cv2.imwrite(str(out), picture):
        raise OSError(
            f'{out} cannot be written; its folder must exist, and its name '
            'end with .jpg, .png or another image format'
        )
