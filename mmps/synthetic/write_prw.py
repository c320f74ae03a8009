"""Writes the annotation files of the PRW layout.

Symbols used in this file:
    N   people of one frame
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmps.structures import UNLABELED

from . import mat5
from .knobs import Knobs
from .plan import Appearance, Drawn, Picture, half_counts
from .plan_prw import PRWPlan

#: Where the pictures go.
PICTURES = 'frames'

_NO_IDENTITY = -2


def write(
    root: Path, plan: PRWPlan, drawn: Sequence[Drawn], knobs: Knobs
) -> Iterator[Path]:
    """Write all annotation files below ``root``; yield each when written.

    ``knobs`` matter to the other layout only: PRW does not tell who is hard.
    """
    boxes = [
        _loosen(plan.seed, index, picture, drawn[index])
        for index, picture in enumerate(plan.pictures)
    ]
    (root / 'annotations').mkdir()
    for index, picture in enumerate(plan.pictures):
        rows = _rows(plan, picture, boxes[index])
        file = root / 'annotations' / f'{picture.name}.mat'
        yield mat5.write_file(file, *_variables(index, rows))
    for half, chosen in (('train', plan.train), ('test', plan.test)):
        names = [mat5.text(_stem(plan.pictures[k])) for k in chosen]
        variable = mat5.cells(names, f'img_index_{half}')
        yield mat5.write_file(root / f'frame_{half}.mat', variable)
    count = plan.size.train.identities
    for name, variable, numbers in (
        ('ID_train', 'ID_train', plan.numbers[:count]),
        ('ID_test', 'ID_test2', plan.numbers[count:]),
    ):
        element = mat5.numbers(sorted(numbers), variable)
        yield mat5.write_file(root / f'{name}.mat', element)
    lines = [
        _line(plan, place, boxes, number)
        for number, place in enumerate(plan.queries)
    ]
    yield _write_lines(root / 'query_info.txt', lines, '\r\n')
    probes = [lines[k] for k in plan.probes]
    yield _write_lines(root / 'prwmini_query_info.txt', probes, '\n')


def counts_of(plan: PRWPlan) -> dict[str, int]:
    """Return the counts of a data set, named as its check names them."""
    counts = {
        **half_counts('train', plan.pictures, plan.train),
        **half_counts('test', plan.pictures, plan.test),
        # the searched ones; people of training walk through test frames too
        'identities/test': len(
            {plan.pictures[k].people[place] for k, place in plan.queries}
        ),
        'queries': len(plan.queries),
        'query images': len({picture for picture, _ in plan.queries}),
        'queries/mini': len(plan.probes),
        'positives/regular': 0,
        'positives/cross-camera': 0,
    }
    shown, by_camera = Counter(), Counter()
    for k in plan.test:
        picture = plan.pictures[k]
        for identity in set(picture.people):
            shown[identity] += 1
            by_camera[identity, picture.camera] += 1
    for index, position in plan.queries:
        picture = plan.pictures[index]
        who = picture.people[position]
        others = shown[who] - by_camera[who, picture.camera]
        counts['positives/regular'] += shown[who] - 1
        counts['positives/cross-camera'] += others
    return counts


def _loosen(
    seed: int, index: int, picture: Picture, drawn: Drawn
) -> np.ndarray:
    """Return the boxes (N, 4) x y w h as a hand would draw them.

    Off by less than a pixel; somebody who is cut by the left or the upper
    border has a box that starts a little outside.
    """
    rng = np.random.default_rng([seed, 31, index])
    corners = drawn.bboxes.astype(np.float64)
    corners[:, 2:] += corners[:, :2]
    corners += rng.uniform(-0.6, 0.6, corners.shape)
    limits = np.tile([picture.width, picture.height], 2)
    corners = np.clip(corners, 0, limits)
    outside = -rng.uniform(0.2, 3, drawn.beyond.shape)
    corners[:, :2] = np.where(drawn.beyond > 0, outside, corners[:, :2])
    corners[:, 2:] -= corners[:, :2]
    return corners


def _rows(plan: PRWPlan, picture: Picture, boxes: np.ndarray) -> np.ndarray:
    """Return the annotation (N, 5): id x y w h."""
    numbers = [
        _NO_IDENTITY if identity == UNLABELED else plan.numbers[identity]
        for identity in picture.people
    ]
    return np.column_stack([numbers, boxes])


def _variables(index: int, rows: np.ndarray) -> list[bytes]:
    """Return the variables of an annotation file: three names are in use.

    Some files keep an older state beside the valid one.
    """
    name = 'box_new'
    if index % 10 == 3:
        name = 'anno_file'
    elif index % 25 == 7:
        name = 'anno_previous'
    variables = [mat5.numbers(rows, name, storage='f8')]
    if index % 40 == 9:
        older = rows + np.array([0, 4.5, 3.5, 0, 0])
        older = mat5.numbers(older, 'anno_previous', storage='f8')
        variables.insert(0, older)
    return variables


def _stem(picture: Picture) -> str:
    return picture.name.removesuffix('.jpg')


def _line(plan: PRWPlan, place: Appearance, boxes: list, number: int) -> str:
    """Return a line of the query file.

    Every seventh box has fewer digits than its annotation, and equals it
    only in single precision.
    """
    picture = plan.pictures[place[0]]
    box = boxes[place[0]][place[1]].tolist()
    digits = '.9g' if number % 7 == 3 else '.17g'
    values = ' '.join(format(value, digits) for value in box)
    identity = plan.numbers[picture.people[place[1]]]
    return f'{identity} {values} {_stem(picture)}'


def _write_lines(path: Path, lines: Sequence[str], end: str) -> Path:
    text = ''.join(line + end for line in lines)
    path.write_bytes(text.encode('ascii'))
    return path
