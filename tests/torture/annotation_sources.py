"""Small data sets, own data and metafiles, and how they are broken.

A source is files that belong together and what reads them; one of its files
is broken at a time.
"""

import io
import json
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from mmps.datasets.check import check_dataset, table
from mmps.datasets.coco_person import read_coco_person
from mmps.datasets.cuhk_sysu import read_cuhk_sysu
from mmps.datasets.errors import DatasetError
from mmps.datasets.mat_elements import COMPRESSED
from mmps.datasets.person_search_dataset import describe, list_images
from mmps.datasets.prw import read_prw
from mmps.datasets.records import FARTHEST, SplitRecords
from mmps.own_data.coco import read_coco
from mmps.own_data.cvat import read_cvat
from mmps.own_data.mot import read_mot
from mmps.own_data.scenes import Scenes
from mmps.own_data.split import split_scenes
from mmps.own_data.write import write_data_set
from mmps.zoo.external import (
    external_details,
    external_overview,
    load_external,
)
from mmps.zoo.index import forget_indexes, load_index
from mmps.zoo.listing import details, overview
from mmps.zoo.metafile import dumps, record
from tests.datasets.layouts import (
    PROBES,
    QUERIES,
    example_in_docs,
    write_coco,
    write_cuhk,
    write_prw,
)
from tests.own_data.sources import save_picture, write_coco_source, write_mot
from tests.own_data.test_cvat import IMAGES, VIDEO
from tests.zoo.small import entry, write_zoo
from tests.zoo.test_external import FIGURES, RECORD

from .broken_text import broken_bytes, broken_json, broken_tree, broken_words


@dataclass(frozen=True)
class Source:
    """Files that belong together, and what reads them.

    Attributes:
        root: Folder that every message about them names.
        files: Those that are broken.
        read: Reads all, checks what was accepted, and returns it as text.
        check: What `mmps check` finds wrong; None where there is no such.
    """

    root: Path
    files: tuple[Path, ...]
    read: Callable[[], str]
    check: Callable[[], list[str]] | None = None


def sources(folder: Path) -> dict[str, Source]:
    """Write all sources, each below a folder of its own."""
    return {
        'cuhk-sysu': _cuhk_sysu(folder / 'cuhk-sysu'),
        'prw': _prw(folder / 'prw'),
        'coco-person': _coco_person(folder / 'coco-person'),
        'own coco': _own_coco(folder / 'own-coco'),
        'own mot': _own_mot(folder / 'own-mot'),
        'own cvat': _own_cvat(folder / 'own-cvat'),
        'metafiles': _metafiles(folder / 'metafiles'),
    }


def broken(file: Path, rng: random.Random) -> bytes:
    """Other content of a file, broken as its kind may be."""
    data = file.read_bytes()
    if file.suffix == '.mat':
        return _broken_mat(data, rng)
    if file.suffix == '.json':
        return broken_json(data.decode(), rng)
    if file.suffix == '.yml':
        return _broken_yaml(data.decode(), rng)
    if rng.random() < 0.3:
        return broken_bytes(data, rng)
    if file.suffix == '.xml' and rng.random() < 0.1:
        return _odd_xml(data, rng)
    return broken_words(data.decode(), rng)


def _cuhk_sysu(root: Path) -> Source:
    write_cuhk(root, protocols={'TestG50': QUERIES, 'Occlusion': QUERIES})
    folder = root / 'annotation'
    names = ('Images.mat', 'pool.mat', 'test/train_test/Train.mat')
    names += ('test/train_test/TestG50.mat', 'test/subset/Occlusion.mat')
    files = tuple(folder / name for name in names)
    return _published('cuhk-sysu', root, files, read_cuhk_sysu)


def _prw(root: Path) -> Source:
    write_prw(root, mini=PROBES[:2])
    files = (
        *sorted(root.glob('*.mat')),
        *sorted(root.glob('annotations/*.mat'))[::3],
        *sorted(root.glob('*.txt')),
    )
    return _published('prw', root, files, read_prw)


def _coco_person(root: Path) -> Source:
    content = example_in_docs()
    for split in ('train', 'test'):
        write_coco(root, content, split)
    marker = root / 'synthetic.json'
    marker.write_text(json.dumps(dict(counts={'images/train': 3})))
    files = (*sorted(root.glob('annotations/*.json')), marker)
    return _published('coco-person', root, files, _read_coco_person)


def _read_coco_person(root: Path, split: str) -> SplitRecords:
    return read_coco_person(root, split, f'annotations/{split}.json')


def _published(
    layout: str, root: Path, files: tuple[Path, ...], read: Callable
) -> Source:
    def both() -> str:
        return _read_halves(root, read)

    def check() -> list[str]:
        own = layout != 'coco-person'  # which has a file of its counts
        report = check_dataset(root, layout=layout, own=own)
        table(report)
        return [*report.problems, *report.differences]

    return Source(root, files, both, check)


def _read_halves(root: Path, read: Callable) -> str:
    halves = []
    for split in ('train', 'test'):
        records = read(root, split)
        check_records(records, split)
        halves.append(repr(records))
    return '\n'.join(halves)


def check_records(records: SplitRecords, split: str) -> None:
    """What every reader promises of what it accepts."""
    for image in records.images:
        assert len(image.identities) == len(image.bboxes)
        assert {type(name) for name in image.identities} <= {str, type(None)}
        _check_boxes(image.bboxes)
    for query in records.queries:
        assert query.image in range(len(records.images))
        _check_boxes(query.bbox[None])
    for protocol in records.protocols.values():
        assert len(protocol.queries) == len(protocol.galleries)
        assert set(protocol.queries.tolist()) <= set(
            range(len(records.queries))
        )
        for gallery in protocol.galleries:
            shown = {*gallery.images.tolist(), *gallery.positives.tolist()}
            assert shown <= set(range(len(records.images)))
            assert gallery.bboxes.shape == (len(gallery.positives), 4)
            _check_boxes(gallery.bboxes, empty=True)
    listed = list_images(records, split)
    known = describe(records, split)
    assert len(listed) == len(known['image_names']) == len(records.images)
    json.dumps(known['image_names'], ensure_ascii=False).encode()


def _check_boxes(bboxes: np.ndarray, empty: bool = False) -> None:
    assert bboxes.dtype == np.float64
    assert bboxes.shape[1] == 4
    assert np.abs(bboxes).max(initial=0) <= 2 * FARTHEST, bboxes
    sides = bboxes[:, 2:] - bboxes[:, :2]
    assert (sides >= 0 if empty else sides > 0).all(), bboxes


def _own_coco(root: Path) -> Source:
    people = [
        (f'{place}/{number}.jpg', [5 + number, 5, 10, 20], dict(person_id=p))
        for place in ('gate', 'hall')
        for number, p in enumerate(('anna', 7, 'anna', None))
    ]
    category = [dict(id=1, name='person'), dict(id=2, name='car')]
    file = write_coco_source(root, people, categories=category)
    content = json.loads(file.read_text())
    for row in content['annotations']:
        row['category_id'] = 1
    file.write_text(json.dumps(content))
    return Source(
        root,
        (file,),
        lambda: _convert(root, lambda: read_coco(file, root / 'pictures')),
    )


def _own_mot(root: Path) -> Source:
    for name in ('gate', 'hall'):
        write_mot(root / name)
    ini = root / 'gate/seqinfo.ini'
    ini.write_text('[Sequence]\nname=gate\nimDir=img1\nframeRate=25\n')
    return Source(
        root,
        (root / 'gate/gt/gt.txt', root / 'hall/gt/gt.txt', ini),
        lambda: _convert(
            root, lambda: read_mot([root / 'gate', root / 'hall'])
        ),
    )


def _own_cvat(root: Path) -> Source:
    for name in ('gate/1.jpg', '2.jpg'):
        save_picture(root / 'pictures' / name)
    for frame in range(4):
        save_picture(root / f'pictures/video/frame_{frame:06}.PNG')
    files = root / 'door.xml', root / 'video.xml'
    for file, text in zip(files, (IMAGES, VIDEO), strict=True):
        file.write_text(text)
    return Source(
        root,
        files,
        lambda: _convert(root, lambda: read_cvat(files, root / 'pictures')),
    )


def _convert(root: Path, read: Callable[[], Scenes]) -> str:
    """As `mmps convert`; what it writes must be read."""
    found = read()
    for scene in found.scenes:
        for person in scene.people:
            box = np.array([person.bbox], np.float64)
            _check_boxes(np.hstack([box[:, :2], box[:, :2] + box[:, 2:]]))
            assert isinstance(person.name, str | None)
    halves = split_scenes(found.scenes, by=None, share=0.4, seed=0)
    out = root / 'out'
    shutil.rmtree(out, ignore_errors=True)
    write_data_set(out, halves, link=True)
    try:
        _read_halves(out, _read_coco_person)
    except DatasetError as error:
        raise AssertionError(f'was written, but {error}') from error
    return repr(found)


def _metafiles(root: Path) -> Source:
    sha256 = 'ab' * 32
    results = [
        dict(Dataset='CUHK-SYSU, G100', Metrics={'mAP': 69.1, 'top-1': 71.5}),
        dict(Dataset='CUHK-SYSU', Metrics={'AP': 74.2, 'recall': 81.6}),
    ]
    model = {
        'Metadata': {'Epochs': 20, 'Match Threshold': 0.4},
        'Paper Results': results,
        'Results': results,
        'Weights': 'weights/x.safetensors',
        'SHA256': sha256,
        'Size': 7,
        'Table': {'File': 'weights/t.pth', 'SHA256': sha256, 'Size': 9},
        'Log': 'weights/x.log.json',
    }
    write_zoo(root, entry('one', **model), entry('two'))
    theirs = root / 'configs/external.yml'
    theirs.write_text(dumps({'Networks': [RECORD | FIGURES]}))
    files = root / 'model-index.yml', root / 'configs/oim/metafile.yml', theirs
    return Source(root, files, lambda: _read_zoo(root))


def _read_zoo(root: Path) -> str:
    forget_indexes()
    index = load_index(root)
    overview(index)
    for found in index.entries.values():
        details(found, index)
        limit = found.match_threshold
        assert limit is None or -1 <= limit <= 1
        for results in (found.paper, found.results):
            numbers = [v for row in results.values() for v in row.values()]
            assert np.isfinite(numbers).all()
    others = load_external(root)
    external_overview(others)
    for theirs in others.values():
        external_details(theirs)
        assert np.isfinite(list(theirs.figures.values())).all()
    if 'one' in index.entries:
        metafile = root / 'configs/oim/metafile.yml'
        before = metafile.read_bytes()
        record(metafile, 'one', {'Log': 'weights/x.log.json'})
        metafile.write_bytes(before)
    return repr((index.entries, others))


def _broken_yaml(text: str, rng: random.Random) -> bytes:
    way = rng.random()
    if way < 0.6:
        tree = broken_tree(yaml.safe_load(text), rng)
        return dumps(tree).encode('utf-8', 'surrogatepass')
    if way < 0.75:
        return broken_words(text, rng)
    if way < 0.9:
        return broken_bytes(text.encode(), rng)
    lists = ['a0: &a0 [x, x]']
    maps = ['a0: &a0 {x: 1}']
    for number in range(1, 30):
        old = ', '.join([f'*a{number - 1}'] * 9)
        lists.append(f'a{number}: &a{number} [{old}]')
        maps.append(f'a{number}: &a{number} {{<<: [{old}]}}')
    depth = rng.choice((100, 3000, 100_000))
    # pure Python reads a level of nesting in 0.1 ms
    return rng.choice(
        (
            '\n'.join([*lists, 'Models: *a29', 'Import: *a29']),
            '\n'.join([*lists, 'Models: [*a29]', 'Import: [*a29]']),
            '\n'.join(maps),
            'Models: ' + '[' * depth,
            'Models: ' + '[' * 300 + ']' * 300,
            '? [1, 2]\n: 3\n',
            'Models: !!python/object/apply:os.system ["touch hacked"]',
            'Models: !!binary "x"',
            'Models: !!timestamp "2026-99-99"',
            'Models: 2026-99-99',
            'Models: !!int "x"',
            'Models: &a [*a]\nImport: *a',
            f'Models: {"9" * depth}',
            f'{text}\n{text}',
            f'{text}\n---\n{text}',
            text.replace('  ', '\t'),
        )
    ).encode()


def _odd_xml(data: bytes, rng: random.Random) -> bytes:
    laughs = ''.join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12)
    )
    bomb = f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><a>&l11;</a>'
    passwords = (
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    )
    text = data.decode()
    codec = rng.choice(('utf-7', 'x', 'utf-16', 'shift_jis', 'rot13'))
    return rng.choice(
        (
            bomb,
            passwords,
            '<annotations>' * 100_000,
            f'<?xml version="1.0" encoding="{codec}"?>'
            + text.removeprefix('<?xml version="1.0"?>'),
            text.replace('<box ', '<box rotation="x" ', 1),
            text.replace('<box ', '<box rotation="nan" ', 1),
        )
    ).encode()


#: Values that stand where others belong in a .mat file.
_ODD_MAT = (
    *(np.full((1, 4), value) for value in (np.nan, np.inf, -1.0, 0.0, 1e308)),
    *(np.zeros(shape) for shape in ((0, 0), (1, 0), (1, 3), (2, 2), (1, 5))),
    *(np.array([[value]]) for value in (1, -2, 0.5, 1e18, 'x', '', 'é', 'c9')),
    *(np.array([[1 + 2j]]), np.array([[True]]), np.zeros((1, 300_000))),
    *(np.zeros((1, 4), np.uint8), np.array([[1, 2, 3, 255]], np.uint8)),
    *(np.array([['x' * 3000]]), np.array([['ab', 'cd']]), csc_array((3, 3))),
    np.array([[np.array(['x'], object)]], object),
    np.array([[(1, 2)]], [('a', object), ('imname', object)]),
)


def _broken_mat(data: bytes, rng: random.Random) -> bytes:
    way = rng.random()
    if way < 0.2:
        return broken_bytes(data, rng)
    if way < 0.5:
        inside = broken_bytes(_inflated(data), rng)
        return _deflated(inside) if rng.random() < 0.5 else inside
    variables = {
        name: value
        for name, value in loadmat(io.BytesIO(data)).items()
        if not name.startswith('__')
    }
    for _ in range(rng.randint(1, 3)):
        _change_array(variables, rng)
    out = io.BytesIO()
    try:
        savemat(out, variables, do_compression=rng.random() < 0.5)
    except (OverflowError, TypeError, ValueError):  # SciPy cannot write it
        return broken_bytes(data, rng)
    return out.getvalue()


def _change_array(variables: dict, rng: random.Random) -> None:
    places = [(variables, name) for name in variables]
    for value in variables.values():
        places += _array_places(value)
    holder, key = rng.choice(places)
    value = holder[key]
    numbers = isinstance(value, np.ndarray) and value.dtype.kind in 'iuf'
    if numbers and value.size and rng.random() < 0.4:
        value = value.astype(np.float64)
        odd = (np.nan, np.inf, -1.0, 0.0, -3.0, 1e308, 1e6, 0.5, 2**40)
        value.flat[rng.randrange(value.size)] = rng.choice(odd)
        holder[key] = value
    elif isinstance(holder, dict) and rng.random() < 0.3:
        holder[rng.choice(('x', 'Img', 'box_new'))] = holder.pop(key)
    else:
        holder[key] = rng.choice(_ODD_MAT)


def _array_places(value: object):
    """Every (array, index) of cells and structs in a value."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names:
        for name in value.dtype.names:
            yield from _array_places(value[name])
    elif value.dtype == object:
        for index in np.ndindex(value.shape):
            yield value, index
            yield from _array_places(value[index])


def _inflated(data: bytes) -> bytes:
    """The same variables, none packed."""
    parts, at = [data[:128]], 128
    while at + 8 <= len(data):
        kind, size = struct.unpack_from('<II', data, at)
        part = data[at : at + 8 + size]
        parts.append(zlib.decompress(part[8:]) if kind == COMPRESSED else part)
        at += 8 + size
    return b''.join(parts)


def _deflated(data: bytes) -> bytes:
    """All that follows the head as one packed variable."""
    packed = zlib.compress(data[128:])
    return data[:128] + struct.pack('<II', COMPRESSED, len(packed)) + packed
