"""Who is searched for: clicks on a picture, and numbers, become a box.

Symbols used in this file:
    N   people that were detected in the picture
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

#: A box that two clicks draw is at least so wide and high, pixels.
SMALLEST = 4
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Query:
    """A picture, and what has been picked in it so far.

    Attributes:
        picture: (H, W, 3) uint8, blue green red.
        people: (N, 4) x1, y1, x2, y2 of whom one can click on.
        name: Name of the picture's file, shown to the user.
        box: The person, in pixels of the picture; None: nobody yet.
        corner: x, y of a first corner that waits for the second.
    """

    picture: np.ndarray
    people: np.ndarray
    name: str
    box: Box | None = None
    corner: tuple[float, float] | None = None

    def clicked(self, x: float, y: float, offer: bool = True) -> 'Query':
        """What a click makes of it.

        A click on a person picks the person, any other is a corner; the
        second corner makes the box, wherever it is.

        Args:
            x: In pixels of the picture.
            y: Down, from the upper border, in pixels of the picture.
            offer: Whether people can be clicked on.

        Raises:
            ValueError: Two corners that are too near to each other.
        """
        if self.corner is not None:
            return self.with_box((*self.corner, x, y))
        person = person_at(self.people, x, y) if offer else None
        if person is None:
            return replace(self, corner=(x, y), box=None)
        return replace(self, box=person)

    def with_box(self, values: Sequence[float | None]) -> 'Query':
        """The same picture with a box.

        Args:
            values: Two opposite corners; what lies beyond the picture is cut
                off.

        Raises:
            ValueError: A number is missing or none, or nothing is left.
        """
        height, width = self.picture.shape[:2]
        numbers = np.array([np.nan if v is None else v for v in values], float)
        if numbers.shape != (4,) or not np.isfinite(numbers).all():
            raise ValueError('a box needs four numbers: x1, y1, x2, y2')
        x1, x2 = np.clip(sorted(numbers[::2].tolist()), 0, width).tolist()
        y1, y2 = np.clip(sorted(numbers[1::2].tolist()), 0, height).tolist()
        if min(x2 - x1, y2 - y1) < SMALLEST:
            raise ValueError(
                f'the part of the box inside the picture ({width} x {height} '
                f'pixels) is {x2 - x1:.0f} x {y2 - y1:.0f} pixels, at least '
                f'{SMALLEST} x {SMALLEST} are needed: pick another corner'
            )
        return replace(self, box=(x1, y1, x2, y2), corner=None)


def person_at(people: np.ndarray, x: float, y: float) -> Box | None:
    """The smallest box around a point, or None.

    Args:
        people: (N, 4) x1, y1, x2, y2.
        x: Of the point, in the same pixels.
        y: Down, from the upper border, in pixels of the picture.
    """
    x1, y1, x2, y2 = people.T
    (around,) = np.nonzero((x1 <= x) & (x <= x2) & (y1 <= y) & (y <= y2))
    if not len(around):
        return None
    area = (x2 - x1) * (y2 - y1)
    return tuple(people[around[area[around].argmin()]].tolist())
