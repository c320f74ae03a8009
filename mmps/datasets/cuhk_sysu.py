"""CUHK-SYSU: photographs of streets, and stills of films.

Symbols used in this file:
    P   labelled training identities
    G   entries of one gallery

Source: Xiao et al., "Joint Detection and Identification Feature Learning for
Person Search", CVPR 2017; layout of the archive in docs/datasets.md.
"""

from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

import numpy as np
from mmdet.registry import DATASETS

from ..structures import Gallery, Protocol
from .errors import DatasetError
from .matfile import iter_mat, read_mat
from .person_search_dataset import PersonSearchDataset
from .records import (
    ImageRecord,
    QueryList,
    SplitRecords,
    check_root,
    check_split,
    check_unique,
    corners,
)

GALLERY_SIZES = (50, 100, 500, 1000, 2000, 4000)
#: Protocol -> (file below annotation/test, variable in it).
PROTOCOL_FILES = {
    **{
        f'G{size}': (f'train_test/TestG{size}.mat', f'TestG{size}')
        for size in GALLERY_SIZES
    },
    'occlusion': ('subset/Occlusion.mat', 'Occlusion1'),
    'low-resolution': ('subset/Resolution.mat', 'Test_Size'),
}
#: The whole test set but the query's own image; needs no file of its own.
FULL = 'all'

Box = tuple[float, float, float, float]


@DATASETS.register_module()
class CUHKSYSUDataset(PersonSearchDataset):
    """CUHK-SYSU in its published layout.

    Protocols: ``G50``, ``G100``, ``G500``, ``G1000``, ``G2000``, ``G4000``,
    ``occlusion`` and ``low-resolution`` from their files, and ``all`` (the
    whole test set but the query's own image). Reading ``G4000`` takes about
    15 seconds, so a config names what it wants.
    """

    def read(self) -> SplitRecords:
        return read_cuhk_sysu(self.data_root, self.split, self.protocols)


def read_cuhk_sysu(
    root: str | Path,
    split: str,
    protocols: Sequence[str] | None = None,
) -> SplitRecords:
    """Read one half of the data set.

    Args:
        root: The folder ``dataset`` of the archive.
        split: 'train' or 'test'.
        protocols: Names of test protocols; None for all whose files exist.
    """
    check_split(split)
    root = check_root(root, 'Image/SSM', 'annotation')
    boxes = read_boxes(root)
    pool = read_pool(root, boxes)
    if split == 'train':
        return _training_half(root, boxes, sorted(set(boxes) - set(pool)))
    return _test_half(root, boxes, sorted(pool), protocols)


def read_boxes(root: Path) -> dict[str, list[Box]]:
    """Read x y w h of everybody, by image, as in ``Images.mat``.

    Boxes without a width or a height, which the file has, are left out.
    """
    file = root / 'annotation/Images.mat'
    boxes, names = {}, []
    for row in iter_mat(file, 'Img'):
        name = _text(file, row, 'imname')
        people = row.get('box', {})
        column = people.get('idlocate', []) if isinstance(people, dict) else []
        found = [_box(file, name, value) for value in column]
        boxes[name] = [b for b in found if b and b[2] > 0 and b[3] > 0]
        names.append(name)
    check_unique(names, file, 'image')
    return boxes


def read_pool(root: Path, boxes: dict[str, list[Box]]) -> list[str]:
    """Read the names of the test images."""
    file = root / 'annotation/pool.mat'
    pool = read_mat(file, 'pool')
    if not isinstance(pool, list) or not all(type(n) is str for n in pool):
        raise DatasetError(file, "'pool' is no cell array of file names")
    check_unique(pool, file, 'image')
    for name in pool:
        if name not in boxes:
            raise DatasetError(
                file, f'lists {name!r}, which Images.mat does not have'
            )
    return pool


def _training_half(root, boxes, names: list[str]) -> SplitRecords:
    file = root / 'annotation/test/train_test/Train.mat'
    identity_names, owner, notes = [], {}, []
    for person in iter_mat(file, 'Train'):
        identity = _text(file, _first(person), 'idname')
        identity_names.append(identity)
        for image, box in _scenes(file, identity, person):
            known = owner.setdefault((image, box), identity)
            if known != identity:
                notes.append(
                    f'{file}: {known} and {identity} share the box {box} of '
                    f'{image}, which stays with {known}'
                )
    check_unique(identity_names, file, 'identity')
    notes += _unmatched(file, owner, boxes, set(names))
    images = [_image(root, name, boxes[name], owner) for name in names]
    return SplitRecords(images, identity_names, notes=tuple(notes))


def _scenes(file, identity: str, person: dict) -> Iterator[tuple[str, Box]]:
    """Yield where a training identity appears: (image name, x y w h)."""
    scenes = _first(person).get('scene')
    if not isinstance(scenes, dict) or 'idlocate' not in scenes:
        raise DatasetError(file, f'{identity} has no list of scenes')
    for i, value in enumerate(scenes['idlocate']):
        image = _text(file, {k: v[i] for k, v in scenes.items()}, 'imname')
        box = _box(file, image, value)
        if box is None:
            raise DatasetError(file, f'{identity} has no box in {image}')
        yield image, box


def _unmatched(file, owner, boxes, names: set[str]) -> list[str]:
    """Describe the boxes of identities that no image of the split has."""
    lost = [
        (image, box, identity)
        for (image, box), identity in owner.items()
        if image not in names or box not in boxes[image]
    ]
    if not lost:
        return []
    image, box, identity = lost[0]
    return [
        f'{file}: {len(lost)} boxes of identities equal no box of the split, '
        f'the first is {box} of {identity} in {image}'
    ]


def _image(root, name: str, boxes: list[Box], owner) -> ImageRecord:
    return ImageRecord(
        name=name,
        path=str(root / 'Image/SSM' / name),
        bboxes=corners(boxes),
        identities=tuple(owner.get((name, box)) for box in boxes),
    )


def _test_half(root, boxes, names: list[str], protocols) -> SplitRecords:
    folder = root / 'annotation/test'
    present = [
        p for p, (f, _) in PROTOCOL_FILES.items() if (folder / f).is_file()
    ]
    wanted = _choose(folder, present, protocols)
    # Every TestG file has all people; the smallest is read for the labels.
    base = next((p for p in present if p.startswith('G')), None)
    index = {name: i for i, name in enumerate(names)}
    queries, owner, read = QueryList(), {}, {}
    for protocol in dict.fromkeys([base, *wanted] if base else wanted):
        if protocol != FULL:
            keep = (
                queries
                if protocol in wanted or FULL in wanted
                else (QueryList())
            )
            file, variable = PROTOCOL_FILES[protocol]
            read[protocol] = _read_protocol(
                folder / file, variable, index, keep, owner
            )
    if FULL in wanted:
        read[FULL] = _whole_set(read[base], queries.as_tuple())
    notes = _unmatched(folder, owner, boxes, set(names))
    return SplitRecords(
        images=[_image(root, name, boxes[name], owner) for name in names],
        identity_names=sorted(set(owner.values())),
        queries=queries.as_tuple(),
        protocols={name: read[name] for name in wanted},
        notes=tuple(notes),
    )


def _choose(folder, present: list[str], asked) -> list[str]:
    """Return the protocols to read, in a fixed order."""
    has_base = any(name.startswith('G') for name in present)
    available = [*present, *([FULL] if has_base else [])]
    if asked is None:
        if not available:
            raise DatasetError(
                folder, 'no protocol file (train_test/TestG100.mat, ...)'
            )
        return available
    for name in asked:
        if name != FULL and name not in PROTOCOL_FILES:
            raise ValueError(
                f'protocol {name!r} is none of {[*PROTOCOL_FILES, FULL]}'
            )
        if name not in available:
            file = (
                'any of train_test/TestG*.mat'
                if name == FULL
                else (PROTOCOL_FILES[name][0])
            )
            raise DatasetError(
                folder,
                f'protocol {name!r} needs {file}, which is not there',
                f'take it from the archive or ask for some of {available}',
            )
    return [name for name in (*PROTOCOL_FILES, FULL) if name in asked]


def _read_protocol(file, variable, index, queries, owner) -> Protocol:
    """Read queries with their galleries, and note who is where."""
    positions, galleries = [], []
    for number, row in enumerate(iter_mat(file, variable)):
        query, entries = row.get('Query'), row.get('Gallery')
        query = _first(query) if isinstance(query, dict) else {}
        image = _text(file, query, 'imname')
        identity = _text(file, query, 'idname')
        box = _box(file, image, query.get('idlocate'))
        if image not in index:
            raise DatasetError(
                file,
                f'query {number} ({identity}) lies in {image!r}: a query '
                'image that is not in the gallery pass',
                'pool.mat must list it',
            )
        if box is None:
            raise DatasetError(file, f'query {number} ({identity}) has no box')
        owner.setdefault((image, box), identity)
        positions.append(
            queries.add(index[image], corners([box])[0], identity)
        )
        galleries.append(
            _read_gallery(file, number, identity, entries, index, owner)
        )
    return Protocol(np.array(positions, dtype=np.int64), tuple(galleries))


def _read_gallery(file, number, identity, entries, index, owner) -> Gallery:
    """Read a gallery of G entries; an empty box means "not here"."""
    if not isinstance(entries, dict) or not {'imname', 'idlocate'} <= set(
        entries
    ):
        raise DatasetError(file, f'query {number} has no gallery')
    names, located = entries['imname'], entries['idlocate']
    if set(map(type, names)) - {str} or set(map(type, located)) - {np.ndarray}:
        raise DatasetError(file, f'query {number} has a malformed gallery')
    try:
        images = np.fromiter(map(index.__getitem__, names), dtype=np.int32)
    except KeyError as error:
        raise DatasetError(
            file,
            f'the gallery of query {number} lists {error}, which is no test '
            'image',
            'pool.mat must list it',
        ) from None
    here = [i for i, value in enumerate(located) if value.size]
    boxes = [_box(file, names[i], located[i]) for i in here]
    for i, box in zip(here, boxes, strict=True):
        owner.setdefault((names[i], box), identity)
    return Gallery(images, images[here], corners(boxes))


def _whole_set(base: Protocol, queries) -> Protocol:
    """Search the whole test set but the query's own image."""
    galleries = []
    for position, gallery in zip(base.queries, base.galleries, strict=True):
        own = queries[position].image
        images, first = np.unique(gallery.positives, return_index=True)
        first = np.sort(first[images != own])
        galleries.append(
            Gallery(
                images=np.array([own], dtype=np.int32),
                positives=gallery.positives[first],
                bboxes=gallery.bboxes[first],
                complement=True,
            )
        )
    return Protocol(base.queries, tuple(galleries))


def _first(columns: dict) -> dict:
    """Take the only element of a struct array."""
    return {name: column[0] for name, column in columns.items() if column}


def _text(file, row: dict, field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value:
        raise DatasetError(file, f'an entry has no text in field {field!r}')
    return value


def _box(file, image: str, value) -> Box | None:
    """Return x y w h as Python numbers, which do not overflow as uint8."""
    if not isinstance(value, np.ndarray) or value.size not in (0, 4):
        raise DatasetError(file, f'a box in {image} is not [x y w h]')
    box = tuple(value.ravel().tolist())
    if not all(map(isfinite, box)):
        raise DatasetError(file, f'a box in {image} is not finite: {box}')
    return box or None
