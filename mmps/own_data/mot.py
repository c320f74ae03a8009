"""Sequences of MOTChallenge: gt/gt.txt, img1/ and, where it is, seqinfo.ini.

A line of gt.txt is ``frame, id, left, top, width, height, flag, class,
visibility`` (MOT16 and later) or ``frame, id, left, top, width, height, flag,
x, y, z`` (2015). Flag 0 marks boxes that are not to be scored; class 1 is a
pedestrian.
"""

import configparser
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmps.datasets.errors import DatasetError

from .scenes import (
    Person,
    Scene,
    Scenes,
    check_names,
    check_reach,
    numbered_pictures,
)

_GT = 'gt/gt.txt'


def read_mot(
    folders: Sequence[str | Path],
    *,
    every: int = 1,
    classes: Sequence[int] = (1,),
    min_visibility: float = 0.25,
    global_ids: bool = False,
) -> Scenes:
    """Read sequences.

    Args:
        folders: Sequences, or folders of sequences.
        every: Take the first of so many frames, and leave out the others.
        classes: Numbers of the classes that are people.
        min_visibility: Boxes less visible than that are left out; in [0, 1].
        global_ids: Whether an id is the same person in all sequences. If not,
            people are called ``<sequence>-<id>``.

    Raises:
        DatasetError: Names the file and the line that is wrong.
    """
    if every < 1:
        raise ValueError(f'--every must be at least 1, got {every}')
    scenes: list[Scene] = []
    left_out: Counter = Counter()
    for folder in _sequences(folders):
        pictures = numbered_pictures(folder / _image_folder(folder))
        people = defaultdict(list)
        for box in _read_lines(folder / _GT, pictures):
            reason = _reason(box, classes, min_visibility)
            if reason:
                left_out[reason] += 1
                continue
            name = (
                str(box.person)
                if global_ids
                else f'{folder.name}-{box.person}'
            )
            person = Person(box.bbox, name if box.person > 0 else None)
            people[box.frame].append(person)
        scenes += [
            Scene(
                pictures[frame],
                f'{folder.name}/{pictures[frame].name}',
                folder.name,
                tuple(people[frame]),
            )
            for frame in sorted(pictures)[::every]
        ]
    check_names(scenes, folders[0])
    return Scenes(
        scenes,
        tuple(f'{n} boxes {why}: left out' for why, n in left_out.items()),
    )


@dataclass(frozen=True)
class _Box:
    """One line of gt.txt."""

    frame: int
    person: int
    bbox: tuple[float, float, float, float]
    flag: float
    kind: int | None
    visibility: float


def _reason(box: _Box, classes, min_visibility: float) -> str | None:
    """Say why a box is left out."""
    if box.flag == 0:
        return 'with flag 0'
    if box.kind is not None and box.kind not in classes:
        return f'of class {box.kind}'
    if box.visibility < min_visibility:
        return f'less than {min_visibility:.0%} visible'
    return None


def _sequences(folders: Sequence[str | Path]) -> list[Path]:
    found = []
    for folder in map(Path, folders):
        inside = sorted(path.parents[1] for path in folder.glob(f'*/{_GT}'))
        if (folder / _GT).is_file():
            found.append(folder)
        elif inside:
            found += inside
        else:
            raise DatasetError(
                folder,
                f'is no sequence ({_GT} is missing) and holds none',
                'give folders with gt/gt.txt and img1/, or one folder of such '
                'folders; test sequences of MOTChallenge have no gt.txt',
            )
    return found


def _image_folder(folder: Path) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    file = folder / 'seqinfo.ini'
    try:
        parser.read(file, encoding='utf-8')
    except (configparser.Error, UnicodeDecodeError) as error:
        raise DatasetError(file, f'cannot be read: {error}') from error
    name = parser.get('Sequence', 'imDir', fallback='img1')
    if not re.fullmatch(r'\w[\w .-]{,254}', name):
        raise DatasetError(
            file, f'imDir={name!r:.80} is not the name of a folder beside it'
        )
    return name


def _read_lines(file: Path, pictures: dict[int, Path]):
    """Yield the boxes of a gt.txt."""
    try:
        lines = file.read_text('utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(file, f'cannot be read: {error}') from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = [float(word) for word in line.split(',')]
        except ValueError:
            values = []
        if len(values) < 6 or not all(map(math.isfinite, values)):
            raise DatasetError(
                file,
                f'line {number} is not "frame, id, left, top, width, height, '
                f'...": {line!r}',
            )
        frame, person, *bbox = values[:6]
        if frame % 1 or person % 1:
            raise DatasetError(
                file,
                f'line {number}: frame or id is no whole number: {line!r}',
            )
        check_reach(bbox, file, f'line {number}')
        if int(frame) not in pictures:
            raise DatasetError(
                file,
                f'line {number}: no picture of frame {int(frame)} among '
                f'{len(pictures)}',
                'extract all frames, numbered as in gt.txt',
            )
        if min(bbox[2:]) <= 0:
            raise DatasetError(
                file,
                f'line {number}: a box of {bbox[2]:g} x {bbox[3]:g} pixels',
            )
        later = len(values) in (8, 9)  # those of 2015 have no class
        yield _Box(
            int(frame),
            int(person),
            tuple(bbox),
            flag=values[6] if len(values) > 6 else 1,
            kind=int(values[7]) if later and values[7] > 0 else None,
            visibility=values[8] if len(values) == 9 else 1.0,
        )
