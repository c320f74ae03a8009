"""Draws one picture: place, things, people; and tells where people are.

Symbols used in this file:
    N   people of the picture
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .backdrop import draw_backdrop
from .camera import expose
from .knobs import Knobs
from .look import Look
from .person import draw_person, random_pose
from .props import draw_clutter, draw_decoy, draw_occluder, overlap, paste

_TRIES = 40  # spots to try for a person
_ASPECT = 0.40  # width of a person's box, share of its height, when planning


@dataclass(frozen=True)
class Scene:
    """A picture and its people.

    Attributes:
        image: (H, W, 3) uint8, blue green red.
        bboxes: (N, 4) int, x y w h, in the order of the looks, around the
            whole person (what hides it counts not), cut at the border.
        beyond: (N, 2) int, pixels that the whole person reaches beyond the
            left and the upper border.
        visible: (N,) share of the person that nothing hides.
    """

    image: np.ndarray
    bboxes: np.ndarray
    beyond: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class _Ground:
    """Perspective: a person on row y is ``slope * (y - horizon)`` high."""

    horizon: float
    slope: float

    def size(self, row: float) -> float:
        return self.slope * (row - self.horizon)

    def row(self, size: float) -> float:
        return self.horizon + size / self.slope


def draw_scene(
    rng: np.random.Generator,
    looks: Sequence[Look],
    width: int,
    height: int,
    knobs: Knobs,
    camera: int = -1,
) -> Scene:
    """Draw a picture of the given people.

    Args:
        rng: Decides everything else.
        looks: N looks.
        width: Of the picture, pixels.
        height: Of the picture.
        knobs: Difficulty.
        camera: Number of a fixed camera, whose place and colours stay the
            same; -1 for a new place.
    """
    place_rng = rng if camera < 0 else np.random.default_rng([11, camera])
    horizon = height * place_rng.uniform(0.18, 0.36)
    near = height * place_rng.uniform(0.80, 1.0) * knobs.heights[1]
    ground = _Ground(horizon, near / (height * 0.98 - horizon))
    light = float(place_rng.uniform(-1, 1))
    image = draw_backdrop(place_rng, width, height, int(horizon))
    _furnish(place_rng, rng, image, ground, knobs)
    spots = _place(rng, looks, width, height, ground, knobs)
    bboxes, beyond, alphas, owners = _populate(
        rng, image, looks, spots, ground, light, knobs
    )
    visible = np.array(
        [
            np.count_nonzero(owners == k + 1) / max(alphas[k], 1)
            for k in range(len(looks))
        ]
    )
    return Scene(expose(rng, image, knobs, camera), bboxes, beyond, visible)


def _furnish(place_rng, rng, image, ground: _Ground, knobs: Knobs) -> None:
    """Put things behind the people, far ones first."""
    height, width = image.shape[:2]
    things = [(draw_clutter, place_rng)] * place_rng.poisson(knobs.clutter)
    things += [(draw_decoy, rng)] * rng.poisson(knobs.decoys)
    low, high = knobs.heights
    sizes = height * low * (high / low * 0.7) ** rng.random(len(things))
    order = np.argsort(sizes)
    for k in order:
        draw, source = things[k]
        size = float(sizes[k])
        spot = int(source.integers(width)), round(ground.row(size))
        draw(source, image, spot, size)


def _place(
    rng, looks, width: int, height: int, ground: _Ground, knobs: Knobs
) -> list[tuple[float, float]]:
    """Return the spot of everybody's feet, with little overlap."""
    low, high = (height * h for h in knobs.heights)
    high = min(high, ground.size(height * 0.97))
    taken, spots = [], []
    for look in looks:
        best = None
        for _ in range(_TRIES):
            size = low * (high / low) ** rng.random()
            row = ground.row(size)
            if rng.random() < knobs.cut_off * (size > 0.6 * high):
                row = height * rng.uniform(1.02, 1.12)
                size = ground.size(row)
            tall = size * look.stature
            half = 0.5 * _ASPECT * tall
            x = rng.uniform(0.5 * half, width - 0.5 * half)
            box = (x - half, row - tall, x + half, row)
            cover = max((_cover(box, other) for other in taken), default=0.0)
            if best is None or cover < best[0]:
                best = cover, box, (x, row)
            if cover <= knobs.max_cover * rng.random():
                break
        taken.append(best[1])
        spots.append(best[2])
    return spots


def _cover(a: tuple, b: tuple) -> float:
    """Return how much of the farther of two boxes the nearer one covers."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    far = a if a[3] < b[3] else b
    return wide * high / ((far[2] - far[0]) * (far[3] - far[1]))


def _populate(
    rng, image, looks, spots, ground: _Ground, light: float, knobs: Knobs
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw the people, far ones first, and things in front of some.

    Returns:
        ``bboxes`` and ``beyond`` of the scene; (N,) pixels of each person
        when nothing hides it; (H, W) number of the person seen at a pixel,
        from 1, 0 for none.
    """
    height, width = image.shape[:2]
    owners = np.zeros((height, width), np.uint8)
    bboxes = np.zeros((len(looks), 4), np.int64)
    beyond = np.zeros((len(looks), 2), np.int64)
    alphas = np.zeros(len(looks))
    things = _occluders(rng, spots, width, ground, knobs)
    for k in sorted(range(len(looks)), key=lambda k: spots[k][1]):
        x, row = spots[k]
        while things and things[0][1] < row:
            _occlude(rng, image, owners, things.pop(0), ground)
        size = ground.size(row) * looks[k].stature
        pose = random_pose(rng, knobs.profile)
        patch, foot = draw_person(looks[k], pose, size, light)
        left, top = round(x - foot[0]), round(row - foot[1])
        _ground_shadow(image, (x, row), size, light)
        paste(image, patch, left, top)
        solid = patch[..., 3] > 100
        rows, cols, inside = overlap(image.shape, patch.shape, left, top)
        owners[rows, cols][
            solid[inside[0] : inside[1], inside[2] : inside[3]]
        ] = k + 1
        alphas[k] = np.count_nonzero(solid)
        bboxes[k], beyond[k] = _tight_box(solid, left, top, width, height)
    for thing in things:
        _occlude(rng, image, owners, thing, ground)
    return bboxes, beyond, alphas, owners


def _occluders(rng, spots, width: int, ground: _Ground, knobs: Knobs) -> list:
    """Return spots of things in front of somebody, far ones first."""
    found = []
    for _ in range(rng.poisson(knobs.occluders) if spots else 0):
        x, row = spots[rng.integers(len(spots))]
        size = ground.size(row)
        aside = rng.uniform(0.1, 0.4) * size * rng.choice((-1, 1))
        found.append((x + aside, row + rng.uniform(0.02, 0.1) * size))
    return sorted(found, key=lambda spot: spot[1])


def _occlude(rng, image, owners, spot, ground: _Ground) -> None:
    at = round(spot[0]), round(spot[1])
    owners[draw_occluder(rng, image, at, ground.size(spot[1]))] = 0


def _ground_shadow(image, spot, size: float, light: float) -> None:
    """Darken the ground under a person."""
    x, row = spot
    half, flat = 0.22 * size, 0.045 * size
    x1, x2 = (
        int(np.clip(x + s * 2 * half, 0, image.shape[1])) for s in (-1, 1)
    )
    y1, y2 = (
        int(np.clip(row + s * 2 * flat, 0, image.shape[0])) for s in (-1, 1)
    )
    if x1 >= x2 or y1 >= y2:
        return
    across = (np.arange(x1, x2) - x + 0.3 * light * half) / half
    down = ((np.arange(y1, y2) - row) / flat)[:, None]
    dark = 1 - 0.5 * np.exp(-2 * (across**2 + down**2))
    view = image[y1:y2, x1:x2]
    view[:] = (view * dark[..., None]).astype(np.uint8)


def _tight_box(
    solid: np.ndarray, left: int, top: int, width: int, height: int
) -> tuple[tuple, tuple]:
    """Return x y w h of a mask in the picture, and what lies beyond it."""
    cols, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
    x1, x2 = left + int(cols[0]), left + int(cols[-1]) + 1
    y1, y2 = top + int(rows[0]), top + int(rows[-1]) + 1
    beyond = max(-x1, 0), max(-y1, 0)
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    return (x1, y1, x2 - x1, y2 - y1), beyond
