"""Exports of CVAT, "CVAT for images 1.1" and "CVAT for video 1.1" (XML).

In the first each <image> has <box> elements; in the second a <track> is one
person, with a <box> for each frame in which it is not ``outside``. Who a box
is stands in an <attribute>; a track without one is a person of its own.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from mmps.datasets.errors import DatasetError
from mmps.datasets.records import FARTHEST, names_nobody

from .scenes import (
    Person,
    Scene,
    Scenes,
    check_names,
    find_picture,
    numbered_pictures,
)


def read_cvat(
    files: Sequence[str | Path],
    images: str | Path,
    *,
    label: str = 'person',
    id_attribute: str = 'person_id',
    every: int = 1,
) -> Scenes:
    """Read exports.

    Args:
        files: ``annotations.xml`` of one or several tasks.
        images: Folder of the pictures. Those of a video are called
            ``frame_000000.png`` ... there, or in a folder of it that has the
            name of the task's file (of its folder, if it is called
            annotations.xml).
        label: That of people.
        id_attribute: Attribute that says who it is.
        every: Take the first of so many frames of a video.

    Raises:
        DatasetError: Names the file and what is wrong in it.
    """
    if every < 1:
        raise ValueError(f'--every must be at least 1, got {every}')
    scenes: list[Scene] = []
    left_out: Counter = Counter()
    for file in map(Path, files):
        reader = _Reader(file, Path(images), label, id_attribute, left_out)
        scenes += reader.read(every)
    check_names(scenes, files[0])
    return Scenes(
        scenes,
        tuple(f'{n} shapes {why}: left out' for why, n in left_out.items()),
    )


class _Reader:
    """Reads one file."""

    def __init__(self, file, folder, label, id_attribute, left_out):
        self.file, self.folder = file, folder
        self.label, self.id_attribute = label, id_attribute
        self.left_out = left_out
        is_named = file.stem != 'annotations'
        self.task = file.stem if is_named else file.resolve().parent.name

    def read(self, every: int) -> list[Scene]:
        try:
            root = ElementTree.parse(self.file).getroot()
        except (LookupError, OSError, SyntaxError, ValueError) as error:
            raise DatasetError(
                self.file, f'cannot be read as XML: {error}'
            ) from error
        pictures, tracks = root.findall('image'), root.findall('track')
        if root.tag != 'annotations' or not (pictures or tracks):
            raise DatasetError(
                self.file,
                'has neither <image> nor <track> in <annotations>',
                'export the task as "CVAT for images 1.1" or "CVAT for video '
                '1.1"',
            )
        labels = {e.get('label') for e in root.iter() if e.get('label')}
        if self.label not in labels:
            raise DatasetError(
                self.file,
                f'nothing has the label {self.label!r}; labels are '
                f'{sorted(labels)}',
                'name that of people with --label',
            )
        if tracks:
            return self._video(tracks)[::every]
        return [self._picture(element) for element in pictures]

    def _picture(self, element) -> Scene:
        path = find_picture(self.folder, element.get('name', ''), self.file)
        name = path.relative_to(self.folder).as_posix()
        parent = PurePosixPath(name).parent.as_posix()
        people = tuple(
            Person(self._bbox(box), self._identity(box))
            for box in element
            if self._is_person(box, box.get('label'))
        )
        return Scene(
            path, name, self.task if parent == '.' else parent, people
        )

    def _video(self, tracks) -> list[Scene]:
        own = self.folder / self.task
        folder = own if own.is_dir() else self.folder
        pictures = numbered_pictures(folder)
        people = defaultdict(list)
        for track in tracks:
            own_name = f'{self.task}-{track.get("id")}'
            for box in track:
                if not self._is_person(box, track.get('label')):
                    continue
                if box.get('outside') == '1':
                    continue
                frame = self._number(box, 'frame')
                if frame not in pictures:
                    raise DatasetError(
                        self.file,
                        f'track {track.get("id")}: frame {frame:g} is not '
                        f'among the {len(pictures)} pictures of {folder}',
                        'export with "save images", or number the frames from '
                        '0',
                    )
                name = self._identity(box, own_name)
                people[frame].append(Person(self._bbox(box), name))
        return [
            Scene(
                path,
                f'{self.task}/{path.name}',
                self.task,
                tuple(people[frame]),
            )
            for frame, path in sorted(pictures.items())
        ]

    def _is_person(self, shape, label: str | None) -> bool:
        if shape.tag == 'box' and label == self.label:
            return True
        if shape.tag != 'box':
            self.left_out[f'that are no box (<{shape.tag}>)'] += 1
        else:
            self.left_out[f'with the label {label!r}'] += 1
        return False

    def _bbox(self, box) -> tuple[float, float, float, float]:
        if box.get('rotation') and self._number(box, 'rotation'):
            raise DatasetError(
                self.file, 'has a rotated box', 'draw it upright'
            )
        x1, y1, x2, y2 = (
            self._number(box, key) for key in ('xtl', 'ytl', 'xbr', 'ybr')
        )
        if x2 <= x1 or y2 <= y1:
            raise DatasetError(
                self.file, f'box {[x1, y1, x2, y2]} (x1 y1 x2 y2) has no area'
            )
        return x1, y1, x2 - x1, y2 - y1

    def _number(self, box, key: str) -> float:
        try:
            value = float(box.get(key))
        except (TypeError, ValueError):
            value = math.nan
        if not abs(value) <= FARTHEST:
            raise DatasetError(
                self.file,
                f'a box has {key}={box.get(key)!r}, no number that a picture '
                'has',
            )
        return value

    def _identity(self, box, default: str | None = None) -> str | None:
        for attribute in box.findall('attribute'):
            if attribute.get('name') == self.id_attribute:
                text = (attribute.text or '').strip()
                return default if names_nobody(text) else text
        return default
