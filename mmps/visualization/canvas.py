"""Tiles, text and frames: what all pictures are made of.

Pictures are (height, width, 3) uint8, blue green red, as OpenCV has them.
Boxes are x1 y1 x2 y2 in pixels of the picture that they lie in.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmps.datasets.decoding import read_pixels

#: Colours, blue green red.
RIGHT, WRONG, MISSED = (0, 160, 0), (0, 0, 210), (220, 110, 0)
QUERY, INK, WHITE = (40, 40, 40), (60, 60, 60), (255, 255, 255)
TILE_HEIGHT, TILE_WIDTH, BORDER, CAPTION = 168, 84, 4, 18
#: Around the patch of a tile: its frame and two pixels of white.
MARGIN = BORDER + 2
#: Height of a letter and width of the widest, for captions.
TEXT_SIZE, TEXT_WIDTH = 0.42, 9


def read(path: str | Path) -> np.ndarray:
    """Read a picture, as it is stored.

    Raises:
        DatasetError: It is no image, or one that nothing else would read.
        FileNotFoundError: It is missing.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'{path} is missing; give the folder that holds the images of '
            'this test set'
        )
    return read_pixels(path)


def save(picture: np.ndarray, path: str | Path) -> None:
    """Write a picture; its folder must exist.

    Raises:
        OSError: It cannot be written, or the ending names no kind of picture.
    """
    try:
        # written by Python: a name that is no UTF-8 would crash OpenCV
        _, content = cv2.imencode(Path(path).suffix, picture)
        Path(path).write_bytes(content)
    except (OSError, cv2.error) as error:
        raise OSError(
            f'{path} cannot be written; the folder must exist and the name '
            'end in .jpg or .png'
        ) from error


def draw_text(
    picture: np.ndarray,
    text: str,
    at: tuple[int, int],
    colour: tuple[int, int, int],
    size: float = TEXT_SIZE,
) -> None:
    """Write on a picture, in place; ``at`` is the lower left corner.

    Letters that the font lacks become '?'.
    """
    text = text.encode('ascii', 'replace').decode()
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, text, at, font, size, colour, 1, cv2.LINE_AA)


def label(
    picture: np.ndarray,
    text: str,
    at: tuple[int, int],
    colour: tuple[int, int, int],
) -> None:
    """White text on a plate of a colour, in place, moved into the picture.

    Args:
        picture: To write on.
        text: What.
        at: Lower left corner of the plate.
        colour: Blue, green, red of the plate behind the text.
    """
    text = text.encode('ascii', 'replace').decode()
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, _), _ = cv2.getTextSize(text, font, 0.4, 1)
    width, height = width + 5, 14
    x = max(0, min(at[0], picture.shape[1] - width))
    y = max(height, min(at[1], picture.shape[0]))
    cv2.rectangle(picture, (x, y - height), (x + width, y), colour, -1)
    draw_text(picture, text, (x + 3, y - 4), WHITE, 0.4)


def heading(text: str, width: int) -> np.ndarray:
    """A line of text, at least ``width`` wide."""
    line = np.full((24, max(width, 8 * len(text)), 3), 255, np.uint8)
    draw_text(line, text, (MARGIN, 17), INK, TEXT_SIZE)
    return line


def stack(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Put lines of any width under each other, white on the right."""
    width = max(line.shape[1] for line in lines)
    return np.vstack(
        [
            np.pad(
                line,
                ((0, 0), (0, width - line.shape[1]), (0, 0)),
                constant_values=255,
            )
            for line in lines
        ]
    )


def tile(
    picture: np.ndarray,
    bbox: Sequence[float],
    colour: tuple[int, int, int],
    *captions: str,
    scale: float = 1.0,
) -> np.ndarray:
    """Crop a box with a little around it into a framed tile.

    Args:
        picture: To crop.
        bbox: The box.
        colour: Blue, green, red of the frame.
        captions: Lines below.
        scale: Of the inside; frame and captions keep their size.
    """
    width, height = round(TILE_WIDTH * scale), round(TILE_HEIGHT * scale)
    patch = _window(picture, bbox, width / height)
    patch = cv2.resize(patch, (width, height), interpolation=cv2.INTER_CUBIC)
    patch = cv2.copyMakeBorder(
        patch, *(BORDER,) * 4, cv2.BORDER_CONSTANT, value=colour
    )
    framed = cv2.copyMakeBorder(
        patch,
        2,
        CAPTION * len(captions),
        2,
        2,
        cv2.BORDER_CONSTANT,
        value=WHITE,
    )
    below = height + BORDER + MARGIN
    for line, caption in enumerate(captions, 1):
        draw_text(
            framed, caption, (BORDER, below + line * CAPTION - 5), colour
        )
    return framed


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


def shortened(text: str, width: int) -> str:
    """The end of a text that is no wider than ``width`` pixels."""
    if _width(text) <= width:
        return text
    while len(text) > 1 and _width(f'..{text}') > width:
        text = text[1:]
    return f'..{text}'


def _width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(
        text, cv2.FONT_HERSHEY_SIMPLEX, TEXT_SIZE, 1
    )
    return width
