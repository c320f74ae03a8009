"""Makes a whole data set: plan, pictures on all cores, annotation files.

A data set is written into a folder beside its place and moved there when it
is whole; ``synthetic.json`` is its last file. What lacks it was interrupted.
"""

import contextlib
import json
import multiprocessing
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmps.errors import InputError
from mmps.structures import UNLABELED

from . import plan_cuhk_sysu, plan_prw, write_cuhk_sysu, write_prw
from .camera import encode
from .knobs import SCENES, Knobs
from .look import look_of_identity, look_of_stranger
from .plan import Drawn, Picture
from .scene import draw_scene

#: Goes up whenever the same arguments would give other bytes.
VERSION = 5
#: The file that a whole data set has.
MARKER = 'synthetic.json'

_LAYOUTS = {
    'cuhk-sysu': (plan_cuhk_sysu, write_cuhk_sysu),
    'prw': (plan_prw, write_prw),
}
LAYOUTS = tuple(_LAYOUTS)
SIZES = ('tiny', 'small', 'large')


class ExistsError(InputError):
    """The folder holds something else, which is not overwritten."""


def generate(
    layout: str,
    size: str,
    seed: int,
    out: str | Path,
    jobs: int = 1,
    scenes: str = 'plain',
    progress: bool = True,
) -> bool:
    """Make a data set in the folder ``out``.

    Args:
        layout: 'cuhk-sysu' or 'prw'.
        size: 'tiny', 'small' or 'large'.
        seed: The same seed gives the same bytes, whatever ``jobs`` is.
        out: Folder to make. It may exist if it is empty.
        jobs: Processes that draw.
        scenes: 'plain' or 'crowded'.
        progress: Whether to show a progress bar.

    Returns:
        False if the very same data set was there already.
    """
    if seed < 0:
        raise ValueError(f'seed must be at least 0, got {seed}')
    knobs = SCENES[scenes]
    recipe = recipe_of(layout, size, seed, knobs, scenes)
    if _is_there(Path(out), recipe):
        return False
    planner, _ = _LAYOUTS[layout]
    sizes = planner.CROWDED_SIZES if scenes == 'crowded' else planner.SIZES
    plan = planner.make_plan(sizes[size], seed)
    generate_planned(layout, plan, recipe, Path(out), jobs, knobs, progress)
    return True


def recipe_of(
    layout: str, size: str, seed: int, knobs: Knobs, scenes: str = 'plain'
) -> dict:
    """Return all that decides the bytes of a data set, as JSON has it."""
    recipe = dict(
        generator='mmps',
        version=VERSION,
        layout=layout,
        size=size,
        scenes=scenes,
        seed=seed,
        knobs=asdict(knobs),
    )
    return json.loads(json.dumps(recipe))


def generate_planned(
    layout: str,
    plan,
    recipe: dict,
    out: Path,
    jobs: int,
    knobs: Knobs,
    progress: bool,
) -> None:
    """Make the data set of a plan; ``recipe`` tells it from others."""
    _, writer = _LAYOUTS[layout]
    with _whole_or_nothing(out) as folder:
        (folder / writer.PICTURES).mkdir(parents=True)
        draw = partial(
            draw_picture, plan.seed, knobs, folder / writer.PICTURES
        )
        tasks = list(enumerate(plan.pictures))
        bar = partial(tqdm, disable=not progress)
        drawing = _map(draw, tasks, jobs)
        drawn = list(bar(drawing, total=len(tasks), desc='pictures'))
        for _ in bar(writer.write(folder, plan, drawn, knobs), desc='files'):
            pass
        counts = writer.counts_of(plan)
        marker = json.dumps(dict(recipe, counts=counts), indent=1)
        (folder / MARKER).write_text(marker + '\n')


def draw_picture(
    seed: int, knobs: Knobs, folder: Path, task: tuple[int, Picture]
) -> Drawn:
    """Draw picture number ``task[0]`` and write it into the folder."""
    index, picture = task
    cv2.setNumThreads(1)  # processes share the cores already
    looks = [
        look_of_stranger(np.random.default_rng([seed, 5, index, position]))
        if identity == UNLABELED
        else look_of_identity(seed, identity, knobs)
        for position, identity in enumerate(picture.people)
    ]
    place = None if picture.camera < 0 else [seed, 6, picture.camera]
    for attempt in range(100):
        rng = np.random.default_rng([seed, 4, index, attempt])
        scene = draw_scene(
            rng, looks, picture.width, picture.height, knobs, place
        )
        hidden = (scene.visible < knobs.least_visible).any()
        if _is_usable(scene.bboxes) and not hidden:
            break
    else:
        raise RuntimeError(
            f'{picture.name}: no room for {len(looks)} people in '
            f'{picture.width} x {picture.height} pixels'
        )
    (folder / picture.name).write_bytes(encode(rng, scene.image, knobs))
    return Drawn(scene.bboxes, scene.beyond, scene.visible)


def _is_usable(bboxes: np.ndarray) -> bool:
    """Return whether boxes have an area and no two are equal.

    Training identities are found by comparing boxes.
    """
    distinct = len({tuple(box) for box in bboxes.tolist()})
    return distinct == len(bboxes) and bool((bboxes[:, 2:] >= 3).all())


def _map(function, tasks: list, jobs: int) -> Iterator:
    """Like ``map`` with ``jobs`` processes, in order."""
    if jobs == 1:
        yield from map(function, tasks)
        return
    # spawn: fork is unsafe once torch and OpenCV have started threads
    context = multiprocessing.get_context('spawn')
    with context.Pool(jobs) as pool:
        yield from pool.imap(function, tasks, chunksize=16)


def _is_there(out: Path, recipe: dict) -> bool:
    """Return whether the very data set is there; refuse anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    marker = out / MARKER
    if not marker.is_file():
        raise ExistsError(
            out,
            f'exists and holds no {MARKER}: it is not a whole synthetic data '
            'set',
            'Name another folder or remove it',
        )
    found = json.loads(marker.read_text())
    found.pop('counts', None)
    # a set that was made before these were settings has their defaults
    found = dict(scenes='plain') | found
    found['knobs'] = asdict(Knobs()) | found.get('knobs', {})
    if found == recipe:
        return True
    other = ', '.join(
        f'{key} {found.get(key)} instead of {recipe.get(key)}'
        for key in sorted({*found, *recipe})
        if found.get(key) != recipe.get(key)
    )
    raise ExistsError(
        out,
        f'holds another synthetic data set: {other}',
        'Name another folder or remove it',
    )


@contextlib.contextmanager
def _whole_or_nothing(out: Path) -> Iterator[Path]:
    """Give a folder beside ``out`` that takes its place at the end."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.parent / f'.{out.name}.{uuid.uuid4().hex[:8]}.partial'
    folder.mkdir()
    try:
        yield folder
        os.replace(folder, out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
