"""PRW: six cameras on a campus, frame by frame.

Symbols used in this file:
    N   people in one frame

Source: Zheng et al., "Person Re-identification in the Wild", CVPR 2017; the
30 probes of PRW-mini: Munjal et al., "Query-guided End-to-End Person Search",
CVPR 2019. Layout in docs/datasets.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmdet.registry import DATASETS

from mmps.structures import Gallery, Protocol

from .errors import DatasetError
from .matfile import read_mat
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
)

QUERY_FILE = 'query_info.txt'
MINI_FILE = 'prwmini_query_info.txt'
PROTOCOLS = ('regular', 'cross-camera', 'mini')
#: Variables of an annotation file, in the order in which they are preferred.
BOX_VARIABLES = ('box_new', 'anno_file', 'anno_previous')
NO_IDENTITY = -2
_CAMERA = re.compile(r'c(\d+)')


@DATASETS.register_module()
class PRWDataset(PersonSearchDataset):
    """PRW in its published layout.

    Protocols: ``regular`` (all test frames but the query's own),
    ``cross-camera`` (also without the frames of the query's camera), and
    ``mini``, the 30 probes of PRW-mini against all frames but their own.

    A frame is called c<camera>..., such as c1s1_000151 or c12s3_000007.
    """

    def read(self) -> SplitRecords:
        return read_prw(self.data_root, self.split, self.protocols)


def read_prw(
    root: str | Path,
    split: str,
    protocols: Sequence[str] | None = None,
) -> SplitRecords:
    """Read one half of the data set.

    Args:
        root: The folder ``PRW-v16.04.20`` of the archive.
        split: 'train' or 'test'.
        protocols: Names of test protocols; None for all whose files exist.
    """
    check_split(split)
    root = check_root(root, 'frames', 'annotations')
    images = [
        read_frame(root, name)
        for name in sorted(read_frame_names(root, split))
    ]
    known = {name for image in images for name in image.identities if name}
    identity_names = sorted(known, key=int)
    if split == 'train':
        return SplitRecords(images, identity_names)
    queries = QueryList()
    protocols = _read_protocols(root, images, protocols, queries)
    return SplitRecords(images, identity_names, queries.as_tuple(), protocols)


def read_frame_names(root: Path, split: str) -> list[str]:
    """Read the names of the frames of a split, without suffix.

    Raises:
        DatasetError: The file holds no cell array of text, or a name that
            does not say which camera took the frame.
    """
    file, variable = root / f'frame_{split}.mat', f'img_index_{split}'
    names = read_mat(file, variable)
    if not isinstance(names, list) or not all(
        isinstance(name, str) for name in names
    ):
        raise DatasetError(file, f'{variable!r} is no cell array of text')
    names = [name.removesuffix('.jpg') for name in names]
    for number, name in enumerate(names, start=1):
        if not _CAMERA.match(name):
            raise DatasetError(
                file,
                f'{variable} {{{number}}} is {name!r}; a frame is called '
                'c<camera>s<sequence>_<number>, as c1s1_000151 is',
                'rename the frames, or write a COCO file (docs/own_data.md), '
                'in which a picture may have any name',
            )
    check_unique(names, file, 'frame')
    return names


def camera_of(frame: str) -> int:
    """Number of the camera of a frame: 12 for 'c12s3_000007.jpg'."""
    return int(_CAMERA.match(frame)[1])


def read_frame(root: Path, name: str) -> ImageRecord:
    """Read who is in a frame: rows of id x y w h, (N, 5).

    Some boxes start left of or above the image; they are clipped there once
    they are corners, so that the other two sides stay where they are.
    """
    file = root / 'annotations' / f'{name}.jpg.mat'
    rows = read_mat(file, *BOX_VARIABLES)
    if not isinstance(rows, np.ndarray) or rows.size % 5:
        raise DatasetError(file, 'the boxes are no rows of id x y w h')
    rows = rows.astype(np.float64).reshape(-1, 5)
    for row in rows:
        if (
            not np.isfinite(row).all()
            or row[3:].min() <= 0
            or is_nowhere(row[1:])
        ):
            raise DatasetError(
                file,
                f'box {row.tolist()} (id x y w h) has no area in the frame '
                'or is not finite',
                'correct the annotation',
            )
    return ImageRecord(
        name=f'{name}.jpg',
        path=str(root / 'frames' / f'{name}.jpg'),
        bboxes=np.maximum(corners(rows[:, 1:]), 0),
        identities=tuple(_identity(file, value) for value in rows[:, 0]),
    )


def _identity(file, value: float) -> str | None:
    if value == NO_IDENTITY:
        return None
    if value < 1 or value % 1:
        raise DatasetError(
            file,
            f'identity {value}: neither a whole number >= 1 nor '
            f'{NO_IDENTITY}, which stands for "unknown"',
        )
    return str(int(value))


@dataclass(frozen=True)
class Probe:
    """One line of a query file."""

    identity: str
    bbox: np.ndarray
    frame: str


def read_probes(file: Path) -> list[Probe]:
    """Read lines "id x y w h frame", whatever ends them (CRLF or LF)."""
    try:
        lines = file.read_text('ascii').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(file, f'cannot be read: {error}') from error
    probes = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        try:
            *values, frame = words
            identity, x, y, w, h = map(float, values)
        except ValueError:
            raise DatasetError(
                file, f'line {number} is not "id x y w h frame": {line!r}'
            ) from None
        if (
            not np.isfinite([identity, x, y, w, h]).all()
            or min(w, h) <= 0
            or is_nowhere((x, y, w, h))
        ):
            raise DatasetError(
                file,
                f'line {number} has a box without an area in its frame: '
                f'{line!r}',
                'correct the annotation',
            )
        name = _identity(file, identity)
        if name is None:
            raise DatasetError(file, f'line {number} has no identity')
        bbox = np.maximum(corners([(x, y, w, h)])[0], 0)
        frame = f'{frame.removesuffix(".jpg")}.jpg'
        probes.append(Probe(name, bbox, frame))
    return probes


def _read_protocols(root, images, asked, queries) -> dict[str, Protocol]:
    wanted = _choose(root, asked)
    index = {image.name: i for i, image in enumerate(images)}
    where = locate(images)
    same_camera = _frames_by_camera(images)
    result = {}
    for protocol in wanted:
        file = root / (MINI_FILE if protocol == 'mini' else QUERY_FILE)
        positions, galleries = [], []
        for probe in read_probes(file):
            if probe.frame not in index:
                raise DatasetError(
                    file,
                    f'a query of {probe.identity} lies in {probe.frame!r}: a '
                    'query image that is not in the gallery pass',
                    'frame_test.mat must list it',
                )
            own = index[probe.frame]
            left_out = np.array([own], dtype=np.int32)
            if protocol == 'cross-camera':
                left_out = same_camera[camera_of(images[own].name)]
            positions.append(queries.add(own, probe.bbox, probe.identity))
            galleries.append(_gallery(left_out, where[probe.identity]))
        result[protocol] = Protocol(
            np.array(positions, dtype=np.int64), tuple(galleries)
        )
    return result


def _choose(root: Path, asked) -> list[str]:
    """Return the protocols to read, in a fixed order."""
    has_mini = (root / MINI_FILE).is_file()
    if asked is None:
        return [p for p in PROTOCOLS if p != 'mini' or has_mini]
    if unknown := set(asked) - set(PROTOCOLS):
        raise ValueError(f'{sorted(unknown)} are none of {PROTOCOLS}')
    if 'mini' in asked and not has_mini:
        raise DatasetError(
            root / MINI_FILE,
            "protocol 'mini' needs this file, which is not part of the "
            'archive of PRW',
            'the authors of QEEPS published it (lines "id x y w h frame"): '
            f"put it beside {QUERY_FILE}, or do not ask for 'mini' in "
            'dataset.protocols',
        )
    return [p for p in PROTOCOLS if p in asked]


def _frames_by_camera(images) -> dict[int, np.ndarray]:
    cameras = np.array([camera_of(image.name) for image in images])
    return {
        camera: np.flatnonzero(cameras == camera).astype(np.int32)
        for camera in np.unique(cameras).tolist()
    }


def _gallery(left_out: np.ndarray, where: dict) -> Gallery:
    hidden = set(left_out.tolist())
    positives = [image for image in where if image not in hidden]
    return gallery_of(left_out, positives, where, complement=True)
