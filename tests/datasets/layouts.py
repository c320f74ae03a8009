"""Tiny data sets in the published layouts, dtypes as the real files have."""

import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

NOBODY = np.zeros((1, 0))  # "this person is not here" in a gallery


def save_image(path: Path, width: int = 60, height: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)


def chunk(kind, data=b''):
    """A chunk of a PNG."""
    crc = struct.pack('>I', zlib.crc32(kind + data))
    return struct.pack('>I', len(data)) + kind + data + crc


def png_of(path, width, height):
    """A PNG of a header without pixels."""
    size = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    start = b'\x89PNG\r\n\x1a\n'
    path.write_bytes(start + chunk(b'IHDR', size) + chunk(b'IDAT'))
    return path


def structs(fields: tuple[str, ...], rows: list[tuple]) -> np.ndarray:
    """Return a 1xN struct array."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in fields])
    for i, row in enumerate(rows):
        array[0, i] = row
    return array


def cells(values: list) -> np.ndarray:
    """Return an Nx1 cell array."""
    array = np.empty((len(values), 1), dtype=object)
    for i, value in enumerate(values):
        array[i, 0] = value
    return array


def box(*xywh, dtype=np.uint16) -> np.ndarray:
    return np.array([xywh], dtype=dtype)


HARD = np.zeros((1, 1), dtype=np.uint8)

#: Boxes by image. Two of s2 have no width or no height, as some real ones.
PEOPLE = {
    's1.jpg': [box(1, 2, 10, 20), box(20, 2, 10, 20)],
    's2.jpg': [box(5, 5, 10, 20), box(0, 0, 0, 9), box(0, 0, 9, 0)],
    's3.jpg': [box(30, 5, 9, 18)],
    's4.jpg': [box(250, 5, 40, 18, dtype=np.uint8), box(3, 4, 9, 18)],
    's10.jpg': [box(5, 6, 12, 24)],
    's11.jpg': [box(7, 8, 11, 22), box(25, 8, 11, 22)],
}
POOL = ['s4.jpg', 's10.jpg', 's11.jpg']
#: p2 has one scene, which squeezes to a scalar in careless readers.
TRAIN = {
    'p1': [('s1.jpg', box(1, 2, 10, 20)), ('s2.jpg', box(5, 5, 10, 20))],
    'p2': [('s3.jpg', box(30, 5, 9, 18, dtype=np.uint8))],
}


def query(image: str, where, identity: str) -> np.ndarray:
    return structs(
        ('imname', 'idlocate', 'ishard', 'idname'),
        [(image, where, HARD, identity)],
    )


def gallery(*entries) -> np.ndarray:
    """Return a gallery from (image, box or NOBODY) pairs."""
    return structs(
        ('imname', 'idlocate', 'ishard'),
        [
            (name, where, HARD if where.size else NOBODY)
            for name, where in entries
        ],
    )


#: p7: in s4 (uint8, beyond 255 on the right), s10 and s11. p8: s11 and s4.
QUERIES = [
    (
        query('s4.jpg', box(250, 5, 40, 18, dtype=np.uint8), 'p7'),
        gallery(
            ('s10.jpg', box(5, 6, 12, 24, dtype=np.uint8)),
            ('s11.jpg', box(7, 8, 11, 22)),
        ),
    ),
    (
        query('s11.jpg', box(25, 8, 11, 22), 'p8'),
        gallery(('s4.jpg', box(3, 4, 9, 18)), ('s10.jpg', NOBODY)),
    ),
]


def write_cuhk(
    root: Path,
    *,
    people: dict | None = None,
    pool: list | None = None,
    train: dict | None = None,
    protocols: dict | None = None,
    images: bool = True,
) -> Path:
    """Write a CUHK-SYSU of six images; any part can be given instead."""
    people = PEOPLE if people is None else people
    train = TRAIN if train is None else train
    protocols = {'TestG50': QUERIES} if protocols is None else protocols
    folder = root / 'annotation/test'
    (folder / 'train_test').mkdir(parents=True)
    (folder / 'subset').mkdir()
    (root / 'Image/SSM').mkdir(parents=True)
    rows = [
        (
            name,
            np.array([[len(boxes)]], dtype=np.uint8),
            structs(('idlocate', 'ishard'), [(b, HARD) for b in boxes]),
        )
        for name, boxes in people.items()
    ]
    savemat(
        root / 'annotation/Images.mat',
        {'Img': structs(('imname', 'nAppear', 'box'), rows)},
        do_compression=True,
    )
    pool = cells(POOL if pool is None else pool)
    savemat(root / 'annotation/pool.mat', {'pool': pool})
    persons = [
        structs(
            ('idname', 'nAppear', 'scene'),
            [
                (
                    name,
                    np.array([[len(scenes)]], dtype=np.uint8),
                    structs(
                        ('imname', 'idlocate', 'ishard'),
                        [(image, where, HARD) for image, where in scenes],
                    ),
                )
            ],
        )
        for name, scenes in train.items()
    ]
    savemat(folder / 'train_test/Train.mat', {'Train': cells(persons)})
    for name, queries in protocols.items():
        place, variable = {
            'Occlusion': ('subset', 'Occlusion1'),
            'Resolution': ('subset', 'Test_Size'),
        }.get(name, ('train_test', name))
        savemat(
            folder / place / f'{name}.mat',
            {variable: structs(('Query', 'Gallery'), queries)},
            do_compression=True,
        )
    if images:
        for name in people:
            width = 300 if name == 's4.jpg' else 60
            save_image(root / 'Image/SSM' / name, width=width)
    return root


#: Rows id x y w h. Identity 2 appears twice in one training frame, 932 is
#: far from the others, and one box starts left of the image.
TRAIN_FRAMES = {
    'c1s1_000001': [(1, 5, 5, 10, 20), (-2, 20, 5, 10, 20)],
    'c2s1_000002': [(2, -1.7, 5, 10, 20), (2, 30, 5, 10, 20)],
    'c6s1_000003': [(932, 1, 1, 10.5, 20)],
    'c6s1_000004': [(-2, 1, 1, 10, 20)],
}
TEST_FRAMES = {
    'c1s2_000010': [(479, 5, 5, 10, 20), (933, 30, 5, 10, 20)],
    'c1s2_000011': [(479, 6, 5, 10, 20)],
    'c2s2_000012': [(479, 7.25, -3.5, 10, 20), (-2, 40, 5, 10, 20)],
    'c3s2_000013': [(933, 8, 5, 10, 20), (933, 40, 5, 10, 20)],
}
PROBES = [
    '479 5 5 10 20 c1s2_000010',
    '479 7.25 -3.5 10 20 c2s2_000012',
    '933 30 5 10 20 c1s2_000010',
]


def write_prw(
    root: Path,
    *,
    train: dict | None = None,
    test: dict | None = None,
    probes: list | None = None,
    mini: list | None = None,
    images: bool = True,
) -> Path:
    """Write a PRW of eight frames; any part can be given instead."""
    train = TRAIN_FRAMES if train is None else train
    test = TEST_FRAMES if test is None else test
    probes = PROBES if probes is None else probes
    (root / 'annotations').mkdir(parents=True)
    (root / 'frames').mkdir()
    variables = ('box_new', 'anno_file', 'anno_previous')
    for i, (name, rows) in enumerate({**train, **test}.items()):
        boxes = np.array(rows, dtype=np.float64).reshape(-1, 5)
        savemat(
            root / 'annotations' / f'{name}.jpg.mat', {variables[i % 3]: boxes}
        )
        if images:
            save_image(root / 'frames' / f'{name}.jpg')
    for split, frames, key in (
        ('train', train, 'ID_train'),
        ('test', test, 'ID_test2'),
    ):
        savemat(
            root / f'frame_{split}.mat',
            {f'img_index_{split}': cells(list(frames))},
        )
        ids = {row[0] for rows in frames.values() for row in rows} - {-2}
        savemat(root / f'ID_{split}.mat', {key: [sorted(ids)]})
    (root / 'query_info.txt').write_bytes(
        ''.join(f'{line}\r\n' for line in probes).encode()
    )
    if mini is not None:
        (root / 'prwmini_query_info.txt').write_bytes(
            ''.join(f'{line}\n' for line in mini).encode()
        )
    return root


def example_in_docs() -> dict:
    """Return the example of the COCO format in docs/datasets.md."""
    text = (Path(__file__).parents[2] / 'docs/datasets.md').read_text()
    return json.loads(text.split('```json\n')[1].split('```')[0])


def write_coco(root: Path, content: dict, split: str = 'test') -> Path:
    """Write a COCO file, and its images."""
    (root / 'annotations').mkdir(parents=True, exist_ok=True)
    (root / 'images').mkdir(exist_ok=True)
    file = root / 'annotations' / f'{split}.json'
    file.write_text(json.dumps(content))
    for item in content['images']:
        save_image(root / 'images' / item['file_name'], 640, 480)
    return root
