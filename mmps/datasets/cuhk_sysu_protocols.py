"""The test protocols of CUHK-SYSU: queries, each with a gallery.

Symbols used in this file:
    G   entries of one gallery

Source: the files ``annotation/test`` of the archive; docs/datasets.md.
"""

from math import isfinite

import numpy as np

from mmps.structures import Gallery, Protocol

from .errors import DatasetError
from .matfile import STRUCT, first, iter_mat, text_of
from .records import FARTHEST, corners, is_nowhere

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


def choose(folder, present: list[str], asked) -> list[str]:
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


def read_protocol(file, variable, index, queries, owner) -> Protocol:
    """Read queries with their galleries, and note who is where."""
    positions, galleries = [], []
    for number, row in enumerate(iter_mat(file, variable, STRUCT)):
        query, entries = first(row.get('Query')), row.get('Gallery')
        image = text_of(file, query, 'imname')
        identity = text_of(file, query, 'idname')
        box = read_box(file, image, query.get('idlocate'))
        if image not in index:
            raise DatasetError(
                file,
                f'query {number} ({identity}) lies in {image!r}: a query '
                'image that is not in the gallery pass',
                'pool.mat must list it',
            )
        if box is None:
            raise DatasetError(
                file,
                f'query {number} ({identity}) has no box in {image}',
                'take the file from the archive anew, or give the query its '
                'box [x y w h]',
            )
        if min(box[2:]) <= 0 or is_nowhere(box):
            raise DatasetError(
                file,
                f'query {number} ({identity}) has the box {box} (x y w h), '
                f'which has no area in {image}',
                'correct the annotation',
            )
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
    boxes = [read_box(file, names[i], located[i]) for i in here]
    for i, box in zip(here, boxes, strict=True):
        if min(box[2:]) < 0:
            raise DatasetError(
                file,
                f'the gallery of query {number} has the box {box} (x y w h), '
                f'whose sides are negative, in {names[i]}',
                'correct the annotation',
            )
        owner.setdefault((names[i], box), identity)
    return Gallery(images, images[here], corners(boxes))


def whole_set(base: Protocol, queries) -> Protocol:
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


def read_box(file, image: str, value) -> Box | None:
    """Return x y w h as Python numbers, which do not overflow as uint8."""
    if not isinstance(value, np.ndarray) or value.size not in (0, 4):
        raise DatasetError(file, f'a box in {image} is not [x y w h]')
    box = tuple(value.ravel().tolist())
    if not all(map(isfinite, box)):
        raise DatasetError(file, f'a box in {image} is not finite: {box}')
    if max(map(abs, box), default=0) > FARTHEST:
        raise DatasetError(
            file, f'a box in {image} reaches beyond any picture: {box}'
        )
    return box or None
