"""What a reader of annotation files returns: plain data, original pixels."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmps.structures import Gallery, Protocol, Query

from .errors import DatasetError

#: What programs write in place of an identity where there is none.
_NOBODY = ('', 'none', 'null', 'nan')


@dataclass(frozen=True)
class ImageRecord:
    """One image and its people.

    Attributes:
        name: Name of the image in the annotation files, with suffix.
        path: Where the image lies.
        bboxes: (N, 4) float64, x1 y1 x2 y2 as annotated.
        identities: N names; None for a person without an identity.
    """

    name: str
    path: str
    bboxes: np.ndarray
    identities: tuple[str | None, ...]


@dataclass(frozen=True)
class SplitRecords:
    """The training half or the test half of a data set.

    Attributes:
        images: In the order of ``img_id``.
        identity_names: All identities of the split; for training in the
            order of the rows of a lookup table.
        queries: Every query that a protocol uses, none twice.
        protocols: Protocols by name.
        notes: Oddities that were met and survived, for people to read.
    """

    images: list[ImageRecord]
    identity_names: list[str]
    queries: tuple[Query, ...] = ()
    protocols: dict[str, Protocol] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class QueryList:
    """Collects queries and keeps one of those that protocols share."""

    def __init__(self):
        self._position = {}
        self._queries = []

    def add(self, image: int, bbox: np.ndarray, identity: str) -> int:
        """Return the position of the query, which is new or known."""
        key = (image, tuple(bbox.tolist()), identity)
        if key not in self._position:
            self._position[key] = len(self._queries)
            self._queries.append(Query(image, bbox, identity))
        return self._position[key]

    def as_tuple(self) -> tuple[Query, ...]:
        return tuple(self._queries)


def names_nobody(name: object) -> bool:
    """Whether a ``person_id`` stands for a person without an identity.

    That is null, a negative number (as text, too), nan, and the texts '',
    'None', 'null' and 'nan' in any case: exports write them where a field was
    left empty, and all strangers would become one person.

    Args:
        name: As it stands in the file.
    """
    if isinstance(name, str):
        text = name.strip().lower()
        return text in _NOBODY or _is_negative(text)
    if isinstance(name, float) and math.isnan(name):
        return True
    is_number = isinstance(name, int | float) and not isinstance(name, bool)
    return name is None or (is_number and name < 0)


def _is_negative(text: str) -> bool:
    return text.startswith('-') and text[1:].isdecimal()


def locate(images: list[ImageRecord]) -> dict[str, dict[int, np.ndarray]]:
    """Return for each identity its images, in order, with its box there.

    A person who was drawn twice in an image is where the first box is: a
    gallery image counts once.
    """
    where = defaultdict(dict)
    for i, image in enumerate(images):
        for bbox, name in zip(image.bboxes, image.identities, strict=True):
            if name is not None:
                where[name].setdefault(i, bbox)
    return where


def gallery_of(
    images, positives: list[int], where: dict, complement: bool
) -> Gallery:
    """Build a gallery from image indices and one entry of ``locate``."""
    bboxes = [where[image] for image in positives]
    return Gallery(
        images=np.asarray(images, dtype=np.int32),
        positives=np.array(positives, dtype=np.int32),
        bboxes=np.array(bboxes, dtype=np.float64).reshape(-1, 4),
        complement=complement,
    )


def corners(xywh: Iterable) -> np.ndarray:
    """Turn boxes x y w h of any number type into (N, 4) float64 corners."""
    boxes = np.asarray(list(xywh), dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def who_needs(
    image: int, queries: Sequence[Query], protocols: Mapping[str, Protocol]
) -> str:
    """Say which queries lie in an image or are searched in it, '' for none."""
    parts = []
    for name, protocol in protocols.items():
        asking = [
            int(position)
            for position, gallery in zip(
                protocol.queries, protocol.galleries, strict=True
            )
            if queries[position].image == image
            or (image in gallery.images) != gallery.complement
        ]
        if asking:
            first = f'query {asking[0]} ({queries[asking[0]].identity})'
            more = f' and {len(asking) - 1} more' if asking[1:] else ''
            parts.append(f'{first}{more} of protocol {name!r}')
    return f'needed for {", ".join(parts)}' if parts else ''


#: Pixels: no picture that is read reaches so far.
FARTHEST = 1_000_000


def is_nowhere(xywh: Sequence[float]) -> bool:
    """Whether no image shows anything of a box x y w h.

    It ends where every image begins or earlier, lies where none reaches, or
    is so far away that nothing is left of its sides.
    """
    x, y, width, height = map(float, xywh)  # NumPy would warn of infinity
    ends = x + width, y + height
    return (
        min(ends) <= 0
        or max(x, y, *ends) > FARTHEST
        or min(x, y) < -FARTHEST
        or ends[0] <= x
        or ends[1] <= y
    )


#: Name of a folder -> how `mmps synthetic` makes it, of the configs' data.
_SYNTHETIC = {
    'synth-tiny': '--size tiny --seed 0',
    'synth-small': '--size small --seed 0',
    'synth-others': '--size small --seed 1',
    'synth-crowded': '--size small --scenes crowded --seed 0',
}


def check_root(root: str | Path, *folders: str) -> Path:
    """Return ``root`` as a path if it holds the folders of a layout."""
    if not root:
        raise DatasetError('data_root', 'is empty', 'name the data set')
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(root, 'no such folder', _how_to_get(root))
    for path in (root / name for name in folders):
        if not path.is_dir():
            raise DatasetError(
                path,
                'no such folder',
                'data_root is the folder that docs/datasets.md calls root',
            )
    return root


def _how_to_get(root: Path) -> str:
    """How a data set gets into a folder."""
    if root.name in _SYNTHETIC:
        return (
            'make it: mmps synthetic --layout cuhk-sysu '
            f'{_SYNTHETIC[root.name]} --out {root}'
        )
    return (
        'docs/datasets.md says how to get a data set and how to lay it out. '
        'If you have it elsewhere, link it here or override data_root'
    )


def check_split(split: str) -> None:
    if split not in ('train', 'test'):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")


def check_unique(names: list[str], file: str | Path, what: str) -> None:
    """Refuse a list of names in which one stands twice."""
    if len(set(names)) < len(names):
        name, times = Counter(names).most_common(1)[0]
        raise DatasetError(
            file, f'{what} {name!r} is listed {times} times', 'keep one'
        )
