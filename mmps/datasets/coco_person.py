"""Own data: a COCO file whose annotations have a ``person_id``.

Symbols used in this file:
    N   people in one image

The format is described, with a complete example, in docs/datasets.md.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.registry import DATASETS

from mmps.structures import Gallery, Protocol

from .errors import DatasetError
from .json_files import read_json
from .person_search_dataset import PersonSearchDataset
from .records import (
    ImageRecord,
    QueryList,
    SplitRecords,
    check_root,
    check_split,
    check_unique,
    corners,
    gallery_of,
    is_nowhere,
    locate,
    names_nobody,
)

#: The whole test set but the query's own image, for the file's ``queries``.
FULL = 'all'


@DATASETS.register_module()
class CocoPersonDataset(PersonSearchDataset):
    """A COCO file with a ``person_id`` in its annotations.

    Protocols: ``all`` (each of the file's ``queries`` against the whole test
    set but its own image), and those that the file lists under ``protocols``.
    A file with neither has none: detection alone is tested.

    Args:
        ann_file: The file, below ``data_root``. Default:
            ``annotations/<split>.json``.
        img_dir: Folder of the images, below ``data_root``.
        kwargs: Pipeline, seed and all else that ``PersonSearchDataset`` takes.
    """

    def __init__(
        self,
        *,
        data_root: str,
        split: str = 'train',
        ann_file: str | None = None,
        img_dir: str = 'images',
        **kwargs,
    ) -> None:
        self.json_file = ann_file or f'annotations/{split}.json'
        self.img_dir = img_dir
        super().__init__(data_root=data_root, split=split, **kwargs)

    def read(self) -> SplitRecords:
        return read_coco_person(
            self.data_root,
            self.split,
            self.json_file,
            self.img_dir,
            self.protocols,
        )


def read_coco_person(
    root: str | Path,
    split: str,
    ann_file: str,
    img_dir: str = 'images',
    protocols: Sequence[str] | None = None,
) -> SplitRecords:
    """Read the file of one split.

    Args:
        root: Folder of the data set.
        split: 'train' or 'test'.
        ann_file: The file, below ``root``.
        img_dir: Folder of the images, below ``root``.
        protocols: Names of test protocols; None for all that there are.
    """
    check_split(split)
    root = check_root(root, img_dir)
    content = _File(root / ann_file)
    people = content.people()
    images = [
        _image(root / img_dir, item, people[item['id']])
        for item in content.images
    ]
    check_unique([i.name for i in images], content.path, 'file_name')
    names = sorted({n for i in images for n in i.identities if n is not None})
    notes = tuple(_notes(content.path, people))
    if split == 'train':
        return SplitRecords(images, names, notes=notes)
    queries = QueryList()
    chosen = _read_protocols(content, images, protocols, queries)
    if not chosen and protocols is None:
        notes += (f"{content.path}: has no 'queries': detection alone",)
    return SplitRecords(images, names, queries.as_tuple(), chosen, notes)


class _File:
    """The parsed file; every access that fails names file and entry."""

    def __init__(self, path: Path):
        self.path = path
        self.content = read_json(path)
        if not isinstance(self.content, dict):
            raise DatasetError(path, 'is no JSON object')
        self.images = self.rows('images', id=int, file_name=str)
        self.position = {item['id']: i for i, item in enumerate(self.images)}

    def rows(self, key: str, **fields: type) -> list[dict]:
        """Return a list of objects that have the given fields."""
        rows = self.content.get(key)
        if not isinstance(rows, list):
            raise DatasetError(self.path, f'has no list {key!r}')
        for number, row in enumerate(rows):
            for name, kind in fields.items():
                value = row.get(name) if isinstance(row, dict) else None
                if not isinstance(value, kind) or isinstance(value, bool):
                    raise DatasetError(
                        self.path,
                        f'{key}[{number}]: {name!r} must be '
                        f'{kind.__name__}, it is {value!r}',
                    )
        if 'id' in fields:
            ids = [row['id'] for row in rows]
            check_unique(ids, self.path, f'id in {key}')
        return rows

    def people(self) -> dict[int, list[dict]]:
        """Return the annotations of each image, by image id."""
        people = defaultdict(list)
        rows = self.rows('annotations', id=int, image_id=int, bbox=list)
        for number, row in enumerate(rows):
            problem = _problem(row)
            if row['image_id'] not in self.position:
                problem = f'image_id {row["image_id"]} is no image'
            if problem:
                raise DatasetError(
                    self.path, f'annotations[{number}]: {problem}'
                )
            people[row['image_id']].append(row)
        return people


def _problem(row: dict) -> str | None:
    """Say what is wrong with an annotation."""
    box = row['bbox']
    if len(box) != 4 or not all(map(_is_finite, box)):
        return f'bbox {box} is not four finite numbers x y w h'
    if min(box[2:]) <= 0:
        return f'bbox {box} (x y w h) has no area'
    if is_nowhere(box):
        return f'bbox {box} (x y w h) lies outside its image'
    if row.get('iscrowd'):
        return 'iscrowd is not supported: give each person an own box'
    name = row.get('person_id')
    known = isinstance(name, str | int | None) or names_nobody(name)
    if isinstance(name, bool) or not known:
        return f'person_id {name!r} is neither text, a whole number nor null'
    return None


def _notes(path: Path, people: dict[int, list[dict]]):
    """Say which ``person_id`` were read as nobody."""
    nobody = Counter(
        repr(row['person_id'])
        for rows in people.values()
        for row in rows
        if row.get('person_id') is not None and _name(row) is None
    )
    if nobody:
        counts = ', '.join(f'{name} {n}' for name, n in nobody.most_common(5))
        yield (
            f'{path}: person_id names nobody in {nobody.total()} annotations '
            f'({counts}): read as people without an identity'
        )


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def _name(row: dict) -> str | None:
    name = row.get('person_id')
    return None if names_nobody(name) else str(name)


def _image(folder: Path, item: dict, people: list[dict]) -> ImageRecord:
    return ImageRecord(
        name=item['file_name'],
        path=str(folder / item['file_name']),
        bboxes=corners(row['bbox'] for row in people),
        identities=tuple(map(_name, people)),
    )


def _read_protocols(content, images, asked, queries) -> dict[str, Protocol]:
    """Build the protocols asked for."""
    listed = content.content.get('protocols', {})
    if not isinstance(listed, dict) or FULL in listed:
        raise DatasetError(
            content.path,
            "'protocols' must map names to lists of galleries; the name "
            f'{FULL!r} is taken',
        )
    available = [*listed, *([FULL] if content.content.get('queries') else [])]
    where, result = locate(images), {}
    for name in available if asked is None else asked:
        if name not in available:
            raise DatasetError(
                content.path,
                f'protocol {name!r} is none of {available}'
                + ("; 'all' needs 'queries'" if name == FULL else ''),
            )
        positions, galleries = [], []
        for row, images_of in _entries(content, name):
            own = content.position[row['image_id']]
            identity = _name(row)
            bbox = corners([row['bbox']])[0]
            positions.append(queries.add(own, bbox, identity))
            galleries.append(_gallery(own, images_of, where[identity]))
        result[name] = Protocol(
            np.array(positions, dtype=np.int64), tuple(galleries)
        )
    return result


def _entries(content, protocol: str):
    """Yield (annotation of a query, its gallery or None for all images)."""
    rows = content.rows('annotations')
    annotations = {row['id']: row for row in rows if _name(row) is not None}
    if protocol == FULL:
        entries = [dict(query=row) for row in content.rows('queries')]
    else:
        entries = content.content['protocols'][protocol]
    if not isinstance(entries, list):
        raise DatasetError(content.path, f'protocol {protocol!r} is no list')
    seen = []
    for entry in entries:
        query = entry.get('query') if isinstance(entry, dict) else None
        if not isinstance(query, int) or query not in annotations:
            raise DatasetError(
                content.path,
                f'protocol {protocol!r}: query {query!r} is no id of an '
                'annotation with a person_id',
            )
        seen.append(query)
        row = annotations[query]
        if protocol == FULL:
            yield row, None
        else:
            yield row, _listed_images(content, protocol, entry, row)
    check_unique(seen, content.path, f'protocol {protocol!r}: query')


def _listed_images(content, protocol: str, entry: dict, row: dict):
    """Return the gallery of an entry as image indices."""
    where = f'protocol {protocol!r}, query {row["id"]}'
    gallery = entry.get('gallery')
    if not isinstance(gallery, list):
        raise DatasetError(content.path, f"{where}: no list 'gallery'")
    for image in gallery:
        if not isinstance(image, int) or image not in content.position:
            raise DatasetError(
                content.path, f'{where}: gallery image {image!r} is no image'
            )
    check_unique(gallery, content.path, f'{where}: gallery image')
    if row['image_id'] in gallery:
        raise DatasetError(
            content.path,
            f'{where}: the gallery has the image of the query itself',
            'leave it out, the person is found there by construction',
        )
    return [content.position[image] for image in gallery]


def _gallery(own: int, listed: list[int] | None, where: dict) -> Gallery:
    if listed is None:
        positives = [image for image in where if image != own]
        return gallery_of([own], positives, where, complement=True)
    positives = [image for image in listed if image in where]
    return gallery_of(listed, positives, where, complement=False)
