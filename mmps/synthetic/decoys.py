"""Draws what resembles people and is none: statues, portraits, coats.

Every function takes the generator, the picture, the point on the ground and
the height that a person would have there (pixels), and draws in place.
"""

import cv2
import numpy as np

from .backdrop import muted, vivid
from .look import look_of_stranger, statue
from .person import draw_person, random_pose
from .props import Spot, box, paste


def draw_decoy(rng, image: np.ndarray, spot: Spot, size: float) -> None:
    """Draw something that a detector may take for a person."""
    drawers = (_statue, _hydrant, _coat_rack, _mannequin, _portrait)
    drawers[rng.integers(len(drawers))](rng, image, spot, size)


def _portrait(rng, image, spot, size) -> None:
    """Draw a picture of the upper half of a person."""
    x, y = spot
    pose = random_pose(rng, 0.2)
    patch, foot = draw_person(look_of_stranger(rng), pose, 0.9 * size, 0.3)
    patch = np.ascontiguousarray(patch[: int(foot[1] - 0.45 * size)])
    half, low = patch.shape[1] * 0.5, y - 0.5 * size
    top = low - patch.shape[0]
    box(
        image,
        x - half,
        top - 2,
        x + half,
        low,
        muted(rng, 150, 240, 40),
        (40, 40, 40),
    )
    paste(image, patch, round(x - foot[0]), round(top))


def _statue(rng, image, spot, size) -> None:
    x, y = spot
    stone = statue(look_of_stranger(rng), int(rng.integers(90, 200)))
    pose = random_pose(rng, 0.3)
    patch, foot = draw_person(stone, pose, size * rng.uniform(0.8, 1.1), 0.6)
    base = size * 0.3
    box(
        image,
        x - base,
        y - base,
        x + base,
        y,
        muted(rng, 90, 160, 8),
        (90, 90, 90),
    )
    paste(image, patch, round(x - foot[0]), round(y - base - foot[1]))


def _mannequin(rng, image, spot, size) -> None:
    """Draw a dressed trunk on a stand: no head, no legs."""
    x, y = spot
    pose = random_pose(rng, 0.2)
    look = look_of_stranger(rng)
    patch, foot = draw_person(look, pose, 0.95 * size, 0.3)
    patch = patch.copy()
    patch[: int(foot[1] - 0.95 * size * 0.83)] = 0
    patch[int(foot[1] - 0.95 * size * 0.48) :] = 0
    box(
        image,
        x - 0.02 * size,
        y - 0.5 * size,
        x + 0.02 * size,
        y,
        (70, 70, 70),
    )
    box(
        image,
        x - 0.14 * size,
        y - 0.03 * size,
        x + 0.14 * size,
        y,
        (70, 70, 70),
    )
    paste(image, patch, round(x - foot[0]), round(y - foot[1]))


def _hydrant(rng, image, spot, size) -> None:
    x, y = spot
    colour = ((40, 40, 200), (40, 200, 220), muted(rng))[rng.integers(3)]
    half, tall = size * 0.1, size * rng.uniform(0.45, 0.7)
    box(image, x - half, y - tall, x + half, y, colour)
    box(
        image,
        x - 1.6 * half,
        y - 0.7 * tall,
        x + 1.6 * half,
        y - 0.5 * tall,
        colour,
    )
    cv2.circle(
        image,
        (round(x), round(y - tall)),
        round(half),
        colour,
        -1,
        cv2.LINE_AA,
    )


def _coat_rack(rng, image, spot, size) -> None:
    x, y = spot
    box(image, x - 0.02 * size, y - size, x + 0.02 * size, y, (40, 60, 80))
    colour = vivid(rng)
    coat = np.array(
        [
            (-0.05, -0.95),
            (0.05, -0.95),
            (0.16, -0.75),
            (0.12, -0.3),
            (-0.12, -0.3),
            (-0.16, -0.75),
        ]
    )
    pts = (coat * size + (x, y)).astype(np.int32)
    cv2.fillPoly(image, [pts], colour, cv2.LINE_AA)
    dark = tuple(int(c * 0.7) for c in colour)
    cv2.line(
        image,
        (round(x), round(y - 0.9 * size)),
        (round(x), round(y - 0.3 * size)),
        dark,
        1,
    )
