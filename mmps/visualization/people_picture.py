"""A picture with the people in it numbered, to choose one of them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .canvas import RIGHT, label, save

#: Pixels of the longer side, at least: in a small picture the numbers would
#: hide the people.
LONGEST = 1280


def save_people(
    picture: np.ndarray, bboxes: Sequence[Sequence[float]], out: str | Path
) -> None:
    """Write a picture with a numbered frame around each person.

    Args:
        picture: (H, W, 3) uint8, blue green red.
        bboxes: (N, 4) x1, y1, x2, y2 in its pixels; numbered from 1.
        out: Picture to write.

    Raises:
        OSError: The picture cannot be written.
    """
    scale = max(1.0, LONGEST / max(picture.shape[:2]))
    size = [round(side * scale) for side in picture.shape[1::-1]]
    canvas = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    corners = [[round(float(v) * scale) for v in box] for box in bboxes]
    for x1, y1, x2, y2 in corners:
        cv2.rectangle(canvas, (x1, y1), (x2, y2), RIGHT, 2, cv2.LINE_AA)
    for number, (x1, y1, _, _) in enumerate(corners, 1):
        label(canvas, str(number), (x1, y1), RIGHT)
    save(canvas, out)
