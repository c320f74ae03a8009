"""A short synthetic video: people walk through one place, a fixed camera.

The first person of the looks walks by, is away, and comes back; the others
walk at other times. It is something to search in, not a data set.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .backdrop import draw_backdrop
from .camera import expose
from .ground import Ground, place_things
from .knobs import Knobs
from .look import Look, look_of_identity
from .person import Pose, draw_person
from .props import draw_clutter, paste
from .scene import draw_scene


class Walk(NamedTuple):
    """One person who crosses the picture once.

    Attributes:
        person: Number of the look.
        begin: Second at which the person comes in.
        seconds: From one border to the other.
        row: Where the feet are, share of the picture's height.
        to_right: Whether the person walks from the left to the right.
    """

    person: int
    begin: float
    seconds: float
    row: float
    to_right: bool


#: A clear view: little blur and noise, and one exposure for all frames.
CLEAR = Knobs(
    heights=(0.4, 0.7),
    cut_off=0,
    close_up=0,
    max_cover=0.05,
    occluders=0,
    decoys=0,
    blur=0.4,
    noise=3,
    gain=0,
    gamma=0,
    shadow=0,
)
#: 20 seconds; person 0 is seen from 2 to 7 and from 13 to 18.
WALKS = (
    Walk(0, 2, 5, 0.86, True),
    Walk(1, 0, 6, 0.62, False),
    Walk(2, 4, 7, 0.74, True),
    Walk(3, 8, 5, 0.90, False),
    Walk(4, 9, 6, 0.66, True),
    Walk(5, 11, 6, 0.78, False),
    Walk(0, 13, 5, 0.80, False),
    Walk(6, 14, 6, 0.68, True),
)
LENGTH = 20.0


def write_walk(
    path: str | Path,
    *,
    walks: Sequence[Walk] = WALKS,
    seconds: float = LENGTH,
    rate: float = 10,
    size: tuple[int, int] = (640, 480),
    seed: int = 0,
    codec: str = 'mp4v',
) -> None:
    """Write the video.

    Args:
        path: Of the video.
        walks: Who walks when.
        seconds: Length.
        rate: Frames a second.
        size: Width and height, pixels.
        seed: Decides the place and the people.
        codec: Four letters that OpenCV knows.

    Raises:
        OSError: The video cannot be written.
    """
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*codec), rate, size
    )
    if not writer.isOpened():
        raise OSError(
            f'{path} cannot be written; the folder must exist, and OpenCV '
            f'know {codec}'
        )
    people = {w.person: look_of_identity(seed, w.person, CLEAR) for w in walks}
    ground, light = _ground(size), 0.4
    place = _place(np.random.default_rng([seed, 0]), ground)
    for number in range(round(seconds * rate)):
        frame = place.copy()
        for walk in sorted(walks, key=lambda walk: walk.row):
            time = number / rate - walk.begin
            if 0 <= time <= walk.seconds:
                _step(frame, people[walk.person], walk, time, ground, light)
        rng = np.random.default_rng([seed, 1, number])
        writer.write(expose(rng, frame, CLEAR, np.ones(3)))
    writer.release()


def write_query(
    path: str | Path,
    *,
    people: Sequence[int] = (0, 8, 3),
    size: tuple[int, int] = (640, 480),
    seed: int = 0,
) -> list[int]:
    """Write a picture that shows people of the video in another place.

    Args:
        path: Of the picture.
        people: Numbers of looks; the first one is whom to search for.
        size: Width and height, pixels.
        seed: That of the video.

    Returns:
        x1, y1, x2, y2 of the first of them.

    Raises:
        OSError: The picture cannot be written.
    """
    looks = [look_of_identity(seed, person, CLEAR) for person in people]
    rng = np.random.default_rng([seed, 2])
    scene = draw_scene(rng, looks, *size, CLEAR)
    if not cv2.imwrite(str(path), scene.image):
        raise OSError(f'{path} cannot be written; the folder must exist')
    x, y, width, height = scene.bboxes[0].tolist()
    return [x, y, x + width, y + height]


def _ground(size: tuple[int, int]) -> Ground:
    width, height = size
    horizon = 0.3 * height
    return Ground(width, height, horizon, 0.8 * height / (height - horizon))


def _place(rng: np.random.Generator, ground: Ground) -> np.ndarray:
    """The place without people, (H, W, 3) uint8."""
    image = draw_backdrop(
        rng, ground.width, ground.height, round(ground.horizon)
    )
    for x, row in place_things(rng, CLEAR.clutter, ground, CLEAR, None):
        draw_clutter(rng, image, (round(x), round(row)), ground.size(row))
    return image


def _step(
    frame: np.ndarray,
    look: Look,
    walk: Walk,
    time: float,
    ground: Ground,
    light: float,
) -> None:
    """Draw a walking person into a frame, in place."""
    row = walk.row * ground.height
    share = time / walk.seconds
    x = ground.width * (share if walk.to_right else 1 - share)
    turn = math.pi / 2 if walk.to_right else -math.pi / 2
    pose = Pose(0.75 * turn, 2 * math.pi * time, 0.35, 0.0, 'swing')
    patch, foot = draw_person(
        look, pose, ground.size(row) * look.stature, light
    )
    paste(frame, patch, round(x - foot[0]), round(row - foot[1]))
