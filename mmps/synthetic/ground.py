"""Where things and people stand: perspective, and who hides whom.

Boxes are x1 y1 x2 y2 in pixels, floats; a spot is (x, row) on the ground.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .knobs import Knobs
from .look import Look

_TRIES = 40  # spots to try for a person
_THING_TRIES = 6
_ASPECT = 0.40  # width of a person's box, share of its height, when planning

Spot = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Ground:
    """Perspective: a person on row y is ``slope * (y - horizon)`` high.

    Attributes:
        width: Width of the picture, pixels.
        height: Height of the picture, pixels.
        horizon: Row where people would vanish.
        slope: Growth of people, row by row.
    """

    width: int
    height: int
    horizon: float
    slope: float

    def size(self, row: float) -> float:
        return self.slope * (row - self.horizon)

    def row(self, size: float) -> float:
        return self.horizon + size / self.slope


def place_people(
    rng: np.random.Generator,
    looks: Sequence[Look],
    ground: Ground,
    knobs: Knobs,
) -> list[Box]:
    """Return a box for everybody, with little overlap; feet at its bottom.

    Boxes say how high a person without a hat is drawn.
    """
    width, height = ground.width, ground.height
    low, high = (height * h for h in knobs.heights)
    high = min(high, ground.size(height * 0.97))
    taken = []
    for look in looks:
        best = None
        for _ in range(_TRIES):
            size = low * (high / low) ** rng.random()
            row = ground.row(size)
            if rng.random() < knobs.cut_off * (size > 0.6 * high):
                row = height * rng.uniform(1.02, 1.12)
                size = ground.size(row)
            tall = size * look.stature
            if rng.random() < knobs.close_up:
                tall = height * rng.uniform(1.05, 1.2)
                row = tall - height * rng.uniform(0.005, 0.03)
            half = 0.5 * _ASPECT * tall
            x = rng.uniform(0.5 * half, width - 0.5 * half)
            if knobs.groups and taken and rng.random() < knobs.groups:
                x, row = _beside(rng, taken[rng.integers(len(taken))], ground)
                tall = ground.size(row) * look.stature
                half = 0.5 * _ASPECT * tall
            box = (x - half, row - tall, x + half, row)
            cover = max((_cover(box, other) for other in taken), default=0.0)
            if best is None or cover < best[0]:
                best = cover, box
            if cover <= knobs.max_cover * rng.random():
                break
        taken.append(best[1])
    return taken


def _beside(rng: np.random.Generator, box: Box, ground: Ground) -> Spot:
    """Return a spot next to a person, on either side."""
    wide, tall = box[2] - box[0], box[3] - box[1]
    aside = rng.uniform(0.55, 1.1) * wide * rng.choice((-1, 1))
    x = (box[0] + box[2]) / 2 + aside
    row = box[3] + rng.uniform(-0.08, 0.08) * tall
    return np.clip(x, 0, ground.width), row


def place_things(
    rng: np.random.Generator,
    mean: float,
    ground: Ground,
    knobs: Knobs,
    people: Sequence[Box] | None,
) -> list[Spot]:
    """Return spots of things that are drawn behind people.

    Args:
        rng: Decides where.
        mean: Mean number of things.
        ground: Perspective.
        knobs: Difficulty.
        people: None keeps the things far from the camera; otherwise they
            may be near where nobody farther away would stand in them.
    """
    low, high = (ground.height * h for h in knobs.heights)
    reach = 1.4 if people is None else 0.7 * high / low
    spots = []
    for _ in range(rng.poisson(mean)):
        for _ in range(_THING_TRIES):
            size = low * reach ** rng.random()
            x, row = rng.uniform(0, ground.width), ground.row(size)
            box = x - 0.7 * size, row - size, x + 0.7 * size, row
            if not any(
                person[3] < row and _cover(box, person) > 0.05
                for person in people or ()
            ):
                spots.append((x, row))
                break
    return spots


def place_occluders(
    rng: np.random.Generator,
    people: Sequence[Box],
    knobs: Knobs,
) -> list[tuple[Spot, float]]:
    """Return (spot, size) of things in front of people, far ones first."""
    found = []
    for _ in range(rng.poisson(knobs.occluders) if people else 0):
        x1, top, x2, row = people[rng.integers(len(people))]
        x, size = (x1 + x2) / 2, row - top
        aside = rng.uniform(0.1, 0.4) * size * rng.choice((-1, 1))
        spot = x + aside, row + rng.uniform(0.02, 0.1) * size
        found.append((spot, size))
    return sorted(found, key=lambda thing: thing[0][1])


def _cover(a: Box, b: Box) -> float:
    """Return how much of the farther of two boxes the nearer one covers."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    far = a if a[3] < b[3] else b
    return wide * high / ((far[2] - far[0]) * (far[3] - far[1]))
