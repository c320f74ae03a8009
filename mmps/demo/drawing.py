"""Pictures for the page, always of one size: the longer side is ``LONGEST``.

All take and return (H, W, 3) uint8: blue green red in, red green blue out.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from mmps.visualization import blurred_outside
from mmps.visualization.canvas import tile

from .picking import Query

#: Pixels of the longer side of what is shown.
LONGEST = 960
#: Blue green red: people who can be clicked on, who was picked, a match.
OFFERED, PICKED, FOUND = (255, 255, 255), (0, 150, 255), (0, 150, 255)
DARK = (40, 40, 40)


def shown_scale(picture: np.ndarray) -> float:
    """Pixels shown over pixels of the picture."""
    return LONGEST / max(picture.shape[:2])


def drawn_query(query: Query, offer: bool) -> np.ndarray:
    """The picture of a query, its box or first corner, and the people.

    Args:
        query: To be drawn.
        offer: Whether to draw the people that can be clicked on.
    """
    canvas, scale = _canvas(query.picture)
    if offer:
        for person in query.people:
            _frame(canvas, person, scale, OFFERED, 2)
    if query.box is not None:
        _frame(canvas, query.box, scale, PICKED, 5)
    if query.corner is not None:
        at = tuple(round(value * scale) for value in query.corner)
        for colour, width in ((DARK, 9), (PICKED, 5)):
            cv2.drawMarker(canvas, at, colour, cv2.MARKER_CROSS, 40, width)
    return _rgb(canvas)


def drawn_scene(
    picture: np.ndarray, box: Sequence[float], blur: bool
) -> np.ndarray:
    """A whole picture with the box of a match.

    Args:
        picture: (H, W, 3) uint8, the scene in which the match was found.
        box: x1, y1, x2, y2 in its pixels.
        blur: Blur everything outside the box.
    """
    if blur:
        picture = blurred_outside(picture, box)
    canvas, scale = _canvas(picture)
    _frame(canvas, box, scale, FOUND, 5)
    return _rgb(canvas)


def drawn_person(
    picture: np.ndarray, box: Sequence[float], blur: bool
) -> np.ndarray:
    """A match alone, cut out with a little around it; arguments as above."""
    if blur:
        picture = blurred_outside(picture, box)
    return _rgb(tile(picture, box, DARK, scale=2))


def _canvas(picture: np.ndarray) -> tuple[np.ndarray, float]:
    scale = shown_scale(picture)
    way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=way), scale


def _frame(
    canvas: np.ndarray,
    box: Sequence[float],
    scale: float,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    """A frame that is seen on any ground."""
    x1, y1, x2, y2 = (round(float(value) * scale) for value in box)
    for shade, pen in ((DARK, width + 3), (colour, width)):
        cv2.rectangle(canvas, (x1, y1), (x2, y2), shade, pen, cv2.LINE_AA)


def _rgb(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture[:, :, ::-1])
