"""Draws one picture: place, things, people; and tells where people are.

Symbols used in this file:
    N   people of the picture
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .backdrop import draw_backdrop
from .camera import expose
from .decoys import draw_decoy
from .ground import Ground, place_occluders, place_people, place_things
from .knobs import Knobs
from .look import Look
from .person import draw_person, random_pose
from .props import draw_clutter, draw_occluder, overlap, paste


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


def draw_scene(
    rng: np.random.Generator,
    looks: Sequence[Look],
    width: int,
    height: int,
    knobs: Knobs,
    place: Sequence[int] | None = None,
) -> Scene:
    """Draw a picture of the given people.

    Args:
        rng: Decides everything else.
        looks: N looks.
        width: Width of the picture, pixels.
        height: Height of the picture, pixels.
        knobs: Difficulty.
        place: Seed of a fixed camera, whose place and colours stay the
            same; None for a new place.
    """
    place_rng = rng if place is None else np.random.default_rng(place)
    horizon = height * place_rng.uniform(0.18, 0.36)
    near = height * place_rng.uniform(0.80, 1.0) * knobs.heights[1]
    slope = near / (height * 0.98 - horizon)
    ground = Ground(width, height, horizon, slope)
    light = float(place_rng.uniform(-1, 1))
    cast = np.exp(place_rng.normal(0, knobs.cast, 3))
    image = draw_backdrop(place_rng, width, height, int(horizon))
    people = place_people(rng, looks, ground, knobs)
    # what belongs to a fixed place stays where it is, far from the camera
    clear_of = people if place is None else None
    things = [
        (draw_clutter, place_rng, spot)
        for spot in place_things(
            place_rng, knobs.clutter, ground, knobs, clear_of
        )
    ]
    things += [
        (draw_decoy, rng, spot)
        for spot in place_things(rng, knobs.decoys, ground, knobs, people)
    ]
    for draw, source, (x, row) in sorted(things, key=lambda t: t[2][1]):
        draw(source, image, (round(x), round(row)), ground.size(row))
    bboxes, beyond, alphas, owners = _populate(
        rng, image, looks, people, light, knobs
    )
    visible = np.array(
        [
            np.count_nonzero(owners == k + 1) / max(alphas[k], 1)
            for k in range(len(looks))
        ]
    )
    return Scene(expose(rng, image, knobs, cast), bboxes, beyond, visible)


def _populate(
    rng, image, looks, people, light: float, knobs: Knobs
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
    things = place_occluders(rng, people, knobs)
    for k in sorted(range(len(looks)), key=lambda k: people[k][3]):
        x1, y1, x2, row = people[k]
        x, size = (x1 + x2) / 2, row - y1
        while things and things[0][0][1] < row:
            _occlude(rng, image, owners, *things.pop(0))
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
        _occlude(rng, image, owners, *thing)
    return bboxes, beyond, alphas, owners


def _occlude(rng, image, owners, spot, size: float) -> None:
    at = round(spot[0]), round(spot[1])
    owners[draw_occluder(rng, image, at, size)] = 0


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
