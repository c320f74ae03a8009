"""Write the folder that ``CocoPersonDataset`` reads."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmps.datasets.errors import DatasetError
from mmps.datasets.pictures import picture_size
from mmps.errors import InputError

from .scenes import Scene
from .split import Halves, choose_queries


def write_data_set(
    out: str | Path,
    halves: Halves,
    *,
    queries_per_person: int = 1,
    seed: int = 0,
    link: bool = False,
    info: dict | None = None,
) -> list[str]:
    """Write pictures and annotations; the folder is whole or not there.

    Boxes that lie outside of their picture are left out and counted.

    Args:
        out: Folder to make. It may exist if it is empty.
        halves: Training and test scenes, file names unique over both.
        queries_per_person: Of every test person who is in two scenes.
        seed: Of the choice of queries.
        link: Link pictures in place of copying them.
        info: What made the data set, for the files' ``info``.

    Returns:
        What was written, in lines for people to read.

    Raises:
        InputError: ``out`` holds something.
        DatasetError: A picture cannot be read.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(out, 'is there and not empty', 'Choose another --out')
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f'.{out.name}.', dir=out.parent))
    try:
        lines = []
        (folder / 'annotations').mkdir()
        for split, scenes in (('train', halves.train), ('test', halves.test)):
            content, kept, outside = _content(scenes, info or {})
            lines.append(_summary(split, content))
            if outside:
                lines.append(
                    f'{split}: {outside} boxes outside of their picture: left '
                    'out'
                )
            if split == 'test':
                lines += _add_queries(content, kept, queries_per_person, seed)
            path = folder / 'annotations' / f'{split}.json'
            path.write_text(json.dumps(content) + '\n', 'utf-8')
            _place_pictures(scenes, folder / 'images', link)
        folder.chmod(0o755)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return lines


def _content(
    scenes: Sequence[Scene], info: dict
) -> tuple[dict, list[Scene], int]:
    """The file of one half, its scenes without boxes outside, their number."""
    content = dict(
        info=info,
        images=[],
        annotations=[],
        categories=[dict(id=1, name='person')],
    )
    kept, outside = [], 0
    for index, scene in enumerate(scenes, start=1):
        width, height = picture_size(scene.file)
        content['images'].append(
            dict(id=index, file_name=scene.name, width=width, height=height)
        )
        people = tuple(
            person
            for person in scene.people
            if _is_inside(person.bbox, width, height)
        )
        outside += len(scene.people) - len(people)
        kept.append(replace(scene, people=people))
        for person in people:
            content['annotations'].append(
                dict(
                    id=len(content['annotations']) + 1,
                    image_id=index,
                    category_id=1,
                    bbox=[round(value, 3) for value in person.bbox],
                    person_id=person.name,
                )
            )
    return content, kept, outside


def _is_inside(bbox: Sequence[float], width: int, height: int) -> bool:
    """Whether some of a box x y w h lies in the picture."""
    x, y, w, h = bbox
    return x < width and y < height and x + w > 0 and y + h > 0


def _add_queries(content, scenes, per_person: int, seed: int) -> list[str]:
    """Choose the queries of the test half; returns what to say of them."""
    chosen, alone = choose_queries(scenes, per_person, seed)
    first = np.cumsum([1, *(len(scene.people) for scene in scenes)])
    content['queries'] = [
        int(first[scene]) + position for scene, position in chosen
    ]
    lines = [f'test: {len(chosen)} queries']
    if alone:
        lines.append(
            f'test: {alone} people are in one picture alone: no query, nobody '
            'could find them'
        )
    return lines


def _summary(split: str, content: dict) -> str:
    people = content['annotations']
    names = {row['person_id'] for row in people} - {None}
    named = sum(row['person_id'] is not None for row in people)
    return (
        f'{split}: {len(content["images"])} pictures, {len(people)} boxes, '
        f'{named} of them of {len(names)} identities'
    )


def _place_pictures(scenes, folder: Path, link: bool) -> None:
    for scene in scenes:
        target = folder / scene.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise DatasetError(
                scene.file, f'another picture is called {scene.name!r}, too'
            )
        if link:
            target.symlink_to(scene.file.resolve())
        else:
            shutil.copyfile(scene.file, target)
