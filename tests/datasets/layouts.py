"""Tiny data sets in the published layouts, dtypes as the real files have."""

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

#: Boxes by image. The last box of s2 has no width, as some real ones.
PEOPLE = {
    's1.jpg': [box(1, 2, 10, 20), box(20, 2, 10, 20)],
    's2.jpg': [box(5, 5, 10, 20), box(0, 0, 0, 9)],
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
