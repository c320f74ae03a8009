"""COCO files whose annotations say who it is; those of AlignPS among them.

AlignPS (Yan et al., CVPR 2021) trains from a COCO file for each half
(``train_pid.json``, ``test_new.json``), whose annotations have a whole number
``person_id``, and whose ``file_name`` may be a path of its authors' disk.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mmps.datasets.errors import DatasetError
from mmps.datasets.json_files import read_json
from mmps.datasets.records import names_nobody

from .scenes import (
    Person,
    Scene,
    Scenes,
    check_names,
    check_reach,
    find_picture,
)


def read_coco(
    file: str | Path,
    images: str | Path,
    *,
    id_field: str = 'person_id',
    category: str | None = None,
    nobody: Sequence[str] = (),
) -> Scenes:
    """Read a COCO file.

    Args:
        file: With lists ``images`` and ``annotations``.
        images: Folder that ``file_name`` is a path below of.
        id_field: Where an annotation says who it is; a dot goes into an
            object (``attributes.person_id``).
        category: Name of the category of people; None for 'person', or the
            only one that there is.
        nobody: Identities that stand for people without one, besides those
            of ``mmps.datasets.records.names_nobody``.

    Raises:
        DatasetError: Names the file and the entry that is wrong.
    """
    file, folder = Path(file), Path(images)
    content = _read(file)
    wanted = _category(content, category, file)
    people: dict[object, list[Person]] = {}
    left_out: Counter = Counter()
    for number, row in enumerate(content['annotations']):
        where = f'annotations[{number}]'
        if wanted is not None and row.get('category_id') != wanted:
            left_out['of another category'] += 1
        elif row.get('iscrowd') or row.get('ignore'):
            left_out['marked iscrowd or ignore'] += 1
        else:
            bbox = _bbox(row, file, where)
            if min(bbox[2:]) < 1:
                left_out['narrower than a pixel'] += 1
                continue
            name = _name(row, id_field, nobody, file, where)
            image = row.get('image_id')
            if not isinstance(image, str | int | float):
                raise DatasetError(
                    file, f'{where}: image_id {image!r} is no id'
                )
            people.setdefault(image, []).append(Person(bbox, name))
    scenes = []
    for number, row in enumerate(content['images']):
        name = row.get('file_name')
        if not isinstance(name, str) or not isinstance(
            row.get('id'), str | int
        ):
            raise DatasetError(
                file, f'images[{number}] has no id or file_name'
            )
        path = find_picture(folder, name, file)
        short = path.relative_to(folder).as_posix()
        sequence = PurePosixPath(short).parent.as_posix()
        persons = tuple(people.pop(row['id'], ()))
        scenes.append(Scene(path, short, sequence, persons))
    if people:
        raise DatasetError(
            file, f'annotations of image {next(iter(people))!r}, which is none'
        )
    check_names(scenes, file)
    named = any(p.name is not None for s in scenes for p in s.people)
    notes = [f'{n} annotations {why}: left out' for why, n in left_out.items()]
    if not named:
        notes.append(
            f'no annotation has an identity in {id_field!r} (--id-field)'
        )
    return Scenes(scenes, tuple(notes))


def _read(file: Path) -> dict:
    content = read_json(file)
    for key in ('images', 'annotations'):
        rows = content.get(key) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) for row in rows
        ):
            raise DatasetError(
                file, f'has no list {key!r} of objects, so it is no COCO file'
            )
    return content


def _category(content: dict, asked: str | None, file: Path):
    """Id of the category of people; None if all annotations are people."""
    rows = content.get('categories') or []
    if not isinstance(rows, list) or not all(
        isinstance(row, dict)
        and isinstance(row.get('name'), str)
        and isinstance(row.get('id'), str | int)
        for row in rows
    ):
        raise DatasetError(
            file, "'categories' is no list of objects with a name and an id"
        )
    names = {row['name']: row['id'] for row in rows}
    if asked is None and len(names) < 2:
        return None
    if (asked or 'person') not in names:
        raise DatasetError(
            file,
            f'has no category {asked or "person"!r}, it has {sorted(names)}',
            'name that of people with --category',
        )
    return names[asked or 'person']


def _bbox(row: dict, file: Path, where: str) -> tuple:
    box = row.get('bbox')
    try:
        x, y, w, h = map(float, box)
    except (OverflowError, TypeError, ValueError):
        raise DatasetError(
            file, f'{where}: bbox {box!r} is not four numbers x y w h'
        ) from None
    check_reach((x, y, w, h), file, where)
    return x, y, w, h


def _name(row, field: str, nobody, file: Path, where: str) -> str | None:
    value: object = row
    for key in field.split('.'):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # tables with gaps store 7 as 7.0
    if names_nobody(value) or str(value) in nobody:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DatasetError(
            file,
            f'{where}: {field} {value!r} is neither text nor a whole number',
        )
    return str(value)
