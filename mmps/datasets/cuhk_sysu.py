"""CUHK-SYSU: photographs of streets, and stills of films.

Symbols used in this file:
    P   labelled training identities

Source: Xiao et al., "Joint Detection and Identification Feature Learning for
Person Search", CVPR 2017; layout of the archive in docs/datasets.md.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmdet.registry import DATASETS

from .cuhk_sysu_protocols import (
    FULL,
    PROTOCOL_FILES,
    Box,
    choose,
    read_box,
    read_protocol,
    whole_set,
)
from .errors import DatasetError
from .matfile import CELL, STRUCT, first, iter_mat, read_mat, text_of
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


@DATASETS.register_module()
class CUHKSYSUDataset(PersonSearchDataset):
    """CUHK-SYSU in its published layout.

    Protocols: ``G50``, ``G100``, ``G500``, ``G1000``, ``G2000``, ``G4000``,
    ``occlusion`` and ``low-resolution`` from their files, and ``all`` (the
    whole test set but the query's own image). Reading ``G4000`` takes about
    20 seconds, so a config names what it wants.
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
    for row in iter_mat(file, 'Img', STRUCT):
        name = text_of(file, row, 'imname')
        people = row.get('box', {})
        column = people.get('idlocate', []) if isinstance(people, dict) else []
        found = [read_box(file, name, value) for value in column]
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
    for person in iter_mat(file, 'Train', CELL):
        identity = text_of(file, first(person), 'idname')
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
    scenes = first(person).get('scene')
    if not isinstance(scenes, dict) or 'idlocate' not in scenes:
        raise DatasetError(file, f'{identity} has no list of scenes')
    for i, value in enumerate(scenes['idlocate']):
        image = text_of(file, {k: v[i] for k, v in scenes.items()}, 'imname')
        box = read_box(file, image, value)
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
    wanted = choose(folder, present, protocols)
    # Every TestG file has all people; the smallest is read for the labels.
    base = next((p for p in present if p.startswith('G')), None)
    index = {name: i for i, name in enumerate(names)}
    queries, owner, read = QueryList(), {}, {}
    for protocol in dict.fromkeys([base, *wanted] if base else wanted):
        if protocol != FULL:
            used = protocol in wanted or FULL in wanted
            keep = queries if used else QueryList()
            file, variable = PROTOCOL_FILES[protocol]
            read[protocol] = read_protocol(
                folder / file, variable, index, keep, owner
            )
    if FULL in wanted:
        read[FULL] = whole_set(read[base], queries.as_tuple())
    notes = _unmatched(folder, owner, boxes, set(names))
    return SplitRecords(
        images=[_image(root, name, boxes[name], owner) for name in names],
        identity_names=sorted(set(owner.values())),
        queries=queries.as_tuple(),
        protocols={name: read[name] for name in wanted},
        notes=tuple(notes),
    )
