"""Draws things on the ground, and lays drawn patches over a picture.

Every drawer takes the generator, the picture, the point on the ground and the
height that a person would have there (pixels), and draws in place.
"""

import cv2
import numpy as np

from .backdrop import muted, vivid

Spot = tuple[int, int]


def draw_clutter(rng, image: np.ndarray, spot: Spot, size: float) -> None:
    """Draw something that nobody takes for a person."""
    drawers = (_car, _tree, _lamp, _bench, _bin, _sign, _bush, _poster)
    drawers[rng.integers(len(drawers))](rng, image, spot, size)


def draw_occluder(
    rng, image: np.ndarray, spot: Spot, size: float
) -> np.ndarray:
    """Draw something that stands in front of people.

    Returns:
        Where the picture changed, (height, width) bool.
    """
    before = image.copy()
    drawers = (_pole, _bin, _bench, _bush, _sign)
    drawers[rng.integers(len(drawers))](rng, image, spot, size)
    return (image != before).any(axis=2)


def paste(image: np.ndarray, patch: np.ndarray, left: int, top: int) -> None:
    """Lay a premultiplied patch (h, w, 4) over the picture, in place."""
    rows, cols, inside = overlap(image.shape, patch.shape, left, top)
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    part = patch[inside[0] : inside[1], inside[2] : inside[3]]
    view = image[rows, cols]
    keep = 255 - part[..., 3:].astype(np.uint16)
    under = (view * keep + 127) // 255
    view[:] = np.minimum(under + part[..., :3], 255)


def overlap(shape: tuple, patch: tuple, left: int, top: int) -> tuple:
    """Return rows and columns of the picture, and [r1 r2 c1 c2] of a patch."""
    r1, r2 = max(top, 0), min(top + patch[0], shape[0])
    c1, c2 = max(left, 0), min(left + patch[1], shape[1])
    inside = np.array([r1 - top, r2 - top, c1 - left, c2 - left])
    return slice(r1, r2), slice(c1, c2), inside


def box(image, x1, y1, x2, y2, colour, border=None) -> None:
    p, q = (round(x1), round(y1)), (round(x2), round(y2))
    cv2.rectangle(image, p, q, colour, -1)
    if border is not None:
        cv2.rectangle(image, p, q, border, 1)


def _car(rng, image, spot, size) -> None:
    x, y = spot
    long, high = size * rng.uniform(1.8, 2.4), size * 0.8
    paint = vivid(rng) if rng.random() < 0.6 else muted(rng, 20, 235, 6)
    dark = tuple(int(c * 0.7) for c in paint)
    roof = np.array([(-0.32, -1), (0.2, -1), (0.36, -0.55), (-0.42, -0.55)])
    pts = (roof * (long, high) + (x, y)).astype(np.int32)
    cv2.fillPoly(image, [pts], dark, cv2.LINE_AA)
    glass = ((roof * (0.85, 0.9) - (0, 0.06)) * (long, high) + (x, y)).astype(
        np.int32
    )
    cv2.fillPoly(image, [glass], (70, 60, 50), cv2.LINE_AA)
    box(
        image,
        x - long / 2,
        y - 0.6 * high,
        x + long / 2,
        y - 0.15 * high,
        paint,
        dark,
    )
    for side in (-0.3, 0.3):
        wheel = round(x + side * long), round(y - 0.15 * high)
        cv2.circle(
            image, wheel, round(0.17 * high), (25, 25, 25), -1, cv2.LINE_AA
        )
        cv2.circle(image, wheel, round(0.08 * high), (150, 150, 150), -1)


def _tree(rng, image, spot, size) -> None:
    x, y = spot
    trunk = size * rng.uniform(0.05, 0.12)
    box(image, x - trunk, y - 1.3 * size, x + trunk, y, (45, 65, 90))
    for _ in range(9):
        green = (
            int(rng.integers(20, 60)),
            int(rng.integers(70, 150)),
            int(rng.integers(30, 100)),
        )
        dx, dy = rng.normal(0, 0.3, 2) * size
        centre = round(x + dx), round(y - 1.7 * size + dy)
        cv2.circle(image, centre, round(size * 0.28), green, -1, cv2.LINE_AA)


def _lamp(rng, image, spot, size) -> None:
    x, y = spot
    tall = size * rng.uniform(1.8, 2.8)
    box(image, x - 0.03 * size, y - tall, x + 0.03 * size, y, (60, 60, 60))
    cv2.circle(
        image,
        (round(x), round(y - tall)),
        round(0.1 * size) + 1,
        (210, 235, 245),
        -1,
        cv2.LINE_AA,
    )


def _pole(rng, image, spot, size) -> None:
    x, y = spot
    half = size * rng.uniform(0.04, 0.08)
    colour = muted(rng, 40, 170)
    box(image, x - half, y - 3 * size, x + half * 0.3, y, colour)
    dark = tuple(int(c * 0.7) for c in colour)
    box(image, x + half * 0.3, y - 3 * size, x + half, y, dark)


def _bench(rng, image, spot, size) -> None:
    x, y = spot
    wood, half = (60, int(rng.integers(80, 120)), 140), size * 0.5
    for up in (0.26, 0.36, 0.46):
        box(
            image,
            x - half,
            y - (up + 0.06) * size,
            x + half,
            y - up * size,
            wood,
            (40, 50, 60),
        )
    for side in (-0.4, 0.4):
        box(
            image,
            x + side * size - 2,
            y - 0.3 * size,
            x + side * size + 2,
            y,
            (50, 50, 50),
        )


def _bin(rng, image, spot, size) -> None:
    x, y = spot
    colour = vivid(rng) if rng.random() < 0.5 else muted(rng, 40, 140)
    half, tall = size * 0.15, size * rng.uniform(0.4, 0.6)
    box(image, x - half, y - tall, x + half, y, colour)
    dark = tuple(int(c * 0.6) for c in colour)
    box(
        image,
        x - 1.15 * half,
        y - tall,
        x + 1.15 * half,
        y - 0.85 * tall,
        dark,
    )


def _sign(rng, image, spot, size) -> None:
    x, y = spot
    tall, half = size * rng.uniform(0.7, 1.2), size * rng.uniform(0.12, 0.25)
    box(image, x - 0.02 * size, y - tall, x + 0.02 * size, y, (80, 80, 80))
    box(
        image,
        x - half,
        y - tall - half,
        x + half,
        y - tall + half,
        vivid(rng),
        (240, 240, 240),
    )


def _bush(rng, image, spot, size) -> None:
    x, y = spot
    for _ in range(8):
        green = (
            int(rng.integers(20, 60)),
            int(rng.integers(70, 140)),
            int(rng.integers(30, 90)),
        )
        dx, dy = rng.uniform(-0.35, 0.35) * size, rng.uniform(0.1, 0.3) * size
        cv2.circle(
            image,
            (round(x + dx), round(y - dy)),
            round(size * 0.14),
            green,
            -1,
            cv2.LINE_AA,
        )


def _poster(rng, image, spot, size) -> None:
    x, y = spot
    half, low = size * rng.uniform(0.25, 0.6), y - 0.6 * size
    top = low - size * rng.uniform(0.5, 0.9)
    box(image, x - half, top, x + half, low, vivid(rng), (230, 230, 230))
    for _ in range(4):
        row = rng.uniform(top + 3, low - 3)
        box(
            image,
            x - 0.8 * half,
            row,
            x + rng.uniform(-0.3, 0.8) * half,
            row + 2,
            vivid(rng),
        )
