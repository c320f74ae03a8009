"""Findings of pairs on disk, known again by what they depend on.

Symbols used in this file:
    I   images of the test set
    Q   queries of the test set
    n   pairs of a file

A folder belongs to a network: its name is the fingerprint of weights and
settings. What is in it is known by the pictures and query boxes alone, so that
another protocol, a higher score threshold, a cascade or a test of all pairs
takes what any test has left there.

    settings.json           the settings of the network, for people
    test_set_<id>.npz       names, queries and protocols, to score again
    plans/<plan>.json       which older files a test builds on
    units/<plan>_<i>.npz    findings of a unit
    plain_<id>/<i>.npz      images on their own, for a cascade
    results/<test>.json     figures
    claims/                 which process does what
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mmps.structures import Query

from .npz import Kind, meta_entry, read_npz, write_npz
from .pair_findings import PairTable, by_query, stack

FINDINGS = Kind(
    'mmps pair findings', 2, 'file of pair findings', 'a test of pairs'
)
_PARTS = ('queries', 'images', 'counts', 'bboxes', 'scores', 'similarity')


@dataclass(frozen=True, eq=False)
class Identities:
    """What the pictures and queries of a test set are, wherever they lie.

    Attributes:
        images: (I,) uint64 identities.
        queries: (Q,) uint64; equal for two queries with equal box and
            picture.
    """

    images: np.ndarray
    queries: np.ndarray

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        paths: Sequence[str],
        queries: Sequence[Query],
    ) -> 'Identities':
        """Of a test set.

        A picture is its name, the size of its file in bytes and the second in
        which it was last changed; one that is not a local file is its name.

        Args:
            names: Names of the I images.
            paths: Their files.
            queries: Q queries.
        """
        images = [
            _hash(name, *_state_of(path))
            for name, path in zip(names, paths, strict=True)
        ]
        asked = [
            _hash(images[query.image], *map(float, query.bbox))
            for query in queries
        ]
        return cls(np.array(images, np.uint64), np.array(asked, np.uint64))

    @cached_property
    def _numbers(self) -> dict[int, int]:
        """Identity of an image -> its number."""
        return {key: i for i, key in enumerate(self.images.tolist())}

    def named(self, table: PairTable) -> PairTable:
        """Identities in the place of numbers."""
        return _with(
            table, self.queries[table.queries], self.images[table.images]
        )

    def numbered(self, table: PairTable, wanted: Iterable[int]) -> PairTable:
        """Numbers in the place of identities; inverse of ``named``.

        Args:
            table: With identities.
            wanted: Queries; pairs of others, and of images that are not in
                the test set, are left out. Of queries that are the same
                person in the same box each gets the findings.
        """
        queries = {}
        for query in wanted:
            queries.setdefault(int(self.queries[query]), []).append(query)
        images = np.array(
            [self._numbers.get(key, -1) for key in table.images.tolist()],
            np.int64,
        )
        positions, numbers = [], []
        for position, key in enumerate(table.queries.tolist()):
            if images[position] >= 0:
                for query in queries.get(key, ()):
                    positions.append(position)
                    numbers.append(query)
        positions = np.array(positions, np.int64)
        return _with(
            table.take(positions),
            np.array(numbers, np.int64),
            images[positions],
        )


class PairStore:
    """Findings of one network on one test set.

    Args:
        folder: Folder of one network, ``work_dir/pairs/<fingerprint>``.
        identities: What identifies images and queries of the test set.
        det_thr: Minimum score of a detection.
    """

    def __init__(
        self, folder: Path, identities: Identities, det_thr: float
    ) -> None:
        self.folder = Path(folder)
        self.identities = identities
        self.det_thr = det_thr

    def plan(
        self, wanted: Mapping[int, np.ndarray], how: Sequence
    ) -> tuple[str, list[Path], int]:
        """What a test builds on, the same for all of its processes.

        The first process that asks decides which files are reused; a test
        that is killed and started again finds its decision.

        Args:
            wanted: Query -> images.
            how: Numbers that shape units and batches.

        Returns:
            Name of the plan; the files that it reuses; how many pairs of
            others are there, but with a higher threshold.
        """
        name = self._plan_name(wanted, how)
        file = self.folder / 'plans' / f'{name}.json'
        if not file.exists():
            reused, too_high = self.usable(wanted)
            names = [path.name for path in reused]
            _create(file, json.dumps(dict(reused=names, too_high=too_high)))
        found = json.loads(file.read_text())
        reused = [self.folder / 'units' / name for name in found['reused']]
        return name, reused, found['too_high']

    def units(self, plan: str, number: int) -> list[Path]:
        """Files of the units of a plan."""
        return [
            self.folder / 'units' / f'{plan}_{i}.npz' for i in range(number)
        ]

    def write(self, file: Path, table: PairTable) -> None:
        """Write what the pairs of a unit have found, whole or not at all."""
        write_table(file, self.identities.named(table), self.det_thr)

    def read(self, files: Iterable[Path], wanted: Iterable[int]) -> PairTable:
        """Findings of the wanted queries, cut at ``det_thr``."""
        wanted = list(wanted)
        tables = []
        for file in files:
            table, _ = read_table(file)
            table = self.identities.numbered(table, wanted)
            tables.append(table.above(self.det_thr))
        return stack(tables)

    def usable(
        self, wanted: Mapping[int, np.ndarray]
    ) -> tuple[list[Path], int]:
        """Files with some of the pairs; pairs of a threshold too high."""
        usable, too_high = [], 0
        for file in sorted((self.folder / 'units').glob('*.npz')):
            table, threshold = read_table(file)
            table = self.identities.numbered(table, wanted)
            found = sum(
                len(f.images) for f in by_query(table, wanted).values()
            )
            if found and threshold <= self.det_thr:
                usable.append(file)
            elif found:
                too_high += found
        return usable, too_high

    def missing(
        self, wanted: Mapping[int, np.ndarray], files: Sequence[Path]
    ) -> dict[int, np.ndarray]:
        """Query -> images that no file has, queries without any left out."""
        there = by_query(self.read(files, wanted), wanted)
        rest = {
            query: np.setdiff1d(images, there[query].images)
            for query, images in wanted.items()
        }
        return {query: images for query, images in rest.items() if len(images)}

    def _plan_name(
        self, wanted: Mapping[int, np.ndarray], how: Sequence
    ) -> str:
        digest = hashlib.sha256()
        for query, images in wanted.items():
            digest.update(self.identities.queries[[query]].tobytes())
            digest.update(self.identities.images[images].tobytes())
            digest.update(len(images).to_bytes(8, 'little'))
        digest.update(json.dumps([self.det_thr, *how]).encode())
        return digest.hexdigest()[:16]


def write_table(file: Path, table: PairTable, det_thr: float) -> None:
    """Write findings with identities in the place of numbers."""
    arrays = {part: getattr(table, part) for part in _PARTS}
    notes = dict(det_thr=det_thr, pairs=len(table.counts))
    write_npz(file, {**arrays, 'meta': meta_entry(FINDINGS, notes)})


def read_table(file: Path) -> tuple[PairTable, float]:
    """Inverse of ``write_table``: findings and the threshold.

    Raises:
        ValueError: The file is none of pair findings, or damaged.
    """
    return read_npz(
        file,
        FINDINGS,
        lambda arrays, meta: (
            PairTable(*(arrays[part] for part in _PARTS)),
            meta['det_thr'],
        ),
    )


def note_settings(folder: Path, settings: Mapping) -> None:
    """Leave a file that tells people what the folder belongs to."""
    text = json.dumps(settings, indent=1, sort_keys=True, default=str)
    _create(folder / 'settings.json', text + '\n')


def outdated(pairs: Path) -> list[Path]:
    """Folders of findings in the layout before that of this program."""
    if not pairs.is_dir():
        return []
    return [
        folder
        for folder in sorted(pairs.iterdir())
        if folder.is_dir()
        and not (folder / 'settings.json').exists()
        and any(folder.glob('*_*.npz'))
    ]


def _create(file: Path, text: str) -> None:
    """Write a file unless there is one; of several writers one wins."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f'.{file.name}.{uuid.uuid4().hex}')
    try:
        draft.write_text(text)
        os.link(draft, file)
    except OSError:  # it is there, or the file system knows no links
        if not file.exists():
            os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def _state_of(path: str) -> tuple[int, int]:
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return -1, -1
    return state.st_size, int(state.st_mtime)


def _hash(*parts: object) -> int:
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], 'little')


def _with(
    table: PairTable, queries: np.ndarray, images: np.ndarray
) -> PairTable:
    return PairTable(
        queries,
        images,
        table.counts,
        table.bboxes,
        table.scores,
        table.similarity,
    )
