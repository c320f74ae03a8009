"""Months of people in a folder: LanceDB, embedded.

Symbols used in this file:
    D   size of an embedding

A row of the table is a person, or the record of a file (``number`` -1, no
embedding), so that one commit holds the people of files and that these files
are done. The folder holds

    archive.json      network, threshold, D; written once
    people.lance/     the table
    next_picture      number of the next picture; grows before a commit
    index.json        recall of the index for approximate search, if any
    cleaning.json     only while people are deleted: which, and where
    deletions.jsonl   what was deleted: counts, cameras and times
    writing.lock, claims.lock

It is personal data, see ``gallery_index.py``. LanceDB keeps what is deleted
until a fragment is rewritten; ``delete`` does that at once.
"""

import json
import math
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from os import PathLike
from pathlib import Path

import numpy as np

from mmps.atomic_files import write_text
from mmps.errors import InputError
from mmps.evaluation.features import Boxes

from .archive_notes import (
    DELETION,
    ENTRY,
    FORMAT,
    INDEX,
    VERSION,
    check_note,
    is_archive,
    parse_note,
    read_network,
    read_note,
)
from .archive_rows import (
    RECORD,
    joined,
    matrix,
    people_rows,
    record_rows,
    schema_of,
)
from .file_records import FileRecord
from .gallery_index import GalleryIndex, check_network
from .gallery_store import Candidates, GalleryStore
from .matches import Source
from .nearest import nearest
from .store_locks import exclusive
from .where import Where

#: Columns that a search reads.
_READ = [
    *('file', 'camera', 'time', 'frame', 'timestamp', 'position', 'number'),
    *('bbox', 'score', 'embedding', '_distance'),
]
#: Old versions stay so long for those who are reading them.
_KEPT = timedelta(minutes=15)
#: Rows from which on columns of conditions are indexed.
_INDEXED = 10_000
#: Bytes of what LanceDB remembers of fragments and versions. By default it
#: keeps up to 1 GB, and each commit adds to it; less makes no search slower.
_REMEMBERED = 4 << 20
#: Of a recall: people asked for, and matches of each.
_QUERIES, _TOP = 50, 10


class LanceStore(GalleryStore):
    """People in a folder of this computer, any number of them.

    Any number of processes may search; several may ``add``, one after the
    other by a lock. All see whole commits alone.

    Args:
        path: Folder that ``create`` has made.
        exhaustive: Look at everybody, also if there is an index for
            approximate search.

    Raises:
        FileNotFoundError: There is no archive.
        InputError: It is another folder, of another version, or LanceDB is
            not installed.
    """

    def __init__(
        self, path: str | PathLike, *, exhaustive: bool = False
    ) -> None:
        self.path = Path(path)
        self.notes = read_network(self.path)
        self.network = self.notes['network']
        self.det_thr = self.notes['det_thr']
        self.dims = self.notes['dims']
        self.exhaustive = exhaustive
        database = _connect(self.path)
        try:
            self._table = database.open_table('people')
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                self.path,
                f'its people cannot be read: {error!s:.200}',
                'Restore the whole folder from a copy',
            ) from error

    @classmethod
    def create(
        cls,
        path: str | PathLike,
        network: str,
        det_thr: float,
        dims: int,
        **notes: str | None,
    ) -> 'LanceStore':
        """Make an archive, or open the one that is there.

        Args:
            path: Folder; made if it does not exist.
            network: Fingerprint of the network.
            det_thr: Detections below this score will not be added.
            dims: D.
            notes: More that is noted in a new one.

        Raises:
            ValueError: The archive there is of another network, threshold or
                size.
            InputError: The folder holds other files.
        """
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        with exclusive(path / 'writing.lock'):
            if not is_archive(path):
                _refuse_others(path)
                database = _connect(path)
                # there if a process was killed in between
                database.create_table(
                    'people', schema=schema_of(dims), exist_ok=True
                )
                noted = dict(format=FORMAT, version=VERSION, network=network)
                noted.update(det_thr=det_thr, dims=dims, **notes)
                write_text(path / 'archive.json', json.dumps(noted, indent=1))
        store = cls(path)
        store.check_writer(network, det_thr, dims)
        return store

    def check_writer(
        self, network: str, det_thr: float, dims: int | None = None
    ) -> None:
        """Refuse what would not fit those who are in it.

        Raises:
            ValueError: Another network, threshold or size of embeddings.
        """
        check_network(f'the archive {self.path}', self.network, network)
        if det_thr != self.det_thr:
            raise ValueError(
                f'the archive {self.path} holds detections with a score of '
                f'{self.det_thr:g} and more, these have {det_thr:g}; give '
                'the same threshold, or make another archive'
            )
        if dims not in (None, self.dims):
            raise ValueError(
                f'the archive {self.path} has embeddings of {self.dims} '
                f'numbers, these have {dims}'
            )

    @property
    def exact(self) -> bool:
        """Whether a search looks at everybody."""
        return self.exhaustive or not self._has_index()

    @property
    def recall(self) -> float | None:
        """Share of the first matches that the index finds, measured when it
        was built; None without one."""
        notes = self._indices() if self._has_index() else None
        return notes and notes['recall']

    def __len__(self) -> int:
        """People."""
        return self._table.count_rows('number >= 0')

    def add(
        self,
        sources: Sequence[Source],
        boxes: Boxes,
        records: Sequence[FileRecord] = (),
    ) -> None:
        """Add pictures and the records of their files, in one commit.

        Raises:
            ValueError: Boxes that hold nonsense, or of another size.
        """
        # to make an index is to check it
        GalleryIndex(sources, boxes, self.network, self.det_thr)
        if boxes.embeddings.shape[1] != self.dims:
            self.check_writer(
                self.network, self.det_thr, boxes.embeddings.shape[1]
            )
        if not len(boxes) and not records:
            return
        with self.writing():
            first = self._reserve(len(sources))
            rows = people_rows(sources, boxes, first, self.dims)
            if records:
                rows = joined(rows, record_rows(records, self.dims))
            self._table.add(rows)

    def candidates(
        self, query: np.ndarray, num: int, where: Where | None = None
    ) -> Candidates:
        """See ``GalleryStore``."""
        found = self._read(lambda: self._query(query, num, where))
        columns = {name: found[name] for name in found.column_names}
        sources = [
            Source(*values)
            for values in zip(
                *(
                    columns[name].to_pylist()
                    for name in (
                        *('file', 'frame', 'timestamp', 'camera', 'time'),
                    )
                ),
                strict=True,
            )
        ]
        return Candidates(
            sources,
            columns['position'].to_numpy(),
            columns['number'].to_numpy(),
            matrix(columns['bbox'], 4),
            columns['score'].to_numpy(),
            matrix(columns['embedding'], self.dims),
            1 - columns['_distance'].to_numpy().astype(np.float64),
        )

    def _query(self, query: np.ndarray, num: int, where: Where | None):
        asked = (
            self._table.search(query, vector_column_name='embedding')
            .distance_type('dot')
            .select(_READ)
            .limit(num)
        )
        condition = sql(where)
        if condition:
            asked = asked.where(condition, prefilter=True)
        if self.exact:
            asked = asked.bypass_vector_index()
        else:
            # more partitions if a condition leaves too few people in these
            asked = asked.minimum_nprobes(self._probes()).maximum_nprobes(0)
        return asked.to_arrow()

    def records(self, files: Sequence[str] | None = None) -> dict:
        """What is known of files.

        Args:
            files: Absolute paths; all files for None.

        Returns:
            Path -> ``FileRecord``, pieces of a video as one.
        """
        condition = f'number = {RECORD}'
        if files is not None:
            condition += f' AND file IN ({", ".join(map(_text, files))})'
        names = list(FileRecord._fields)

        def read() -> dict:
            known: dict[str, FileRecord] = {}
            for batch in self._scan(names, condition):
                columns = (batch[name].to_pylist() for name in names)
                for values in zip(*columns, strict=True):
                    record = FileRecord(*values)
                    known[record.file] = record.merged(known.get(record.file))
            return known

        return self._read(read)

    def cameras(self) -> dict[str | None, tuple[int, float, float]]:
        """Camera -> people, time of the first, time of the last."""

        def read() -> dict:
            found: dict = {}
            for batch in self._scan(['camera', 'time'], 'number >= 0'):
                names = batch['camera'].dictionary_encode()
                codes = names.indices.fill_null(-1).to_numpy()
                times = batch['time'].fill_null(math.nan).to_numpy()
                for code in np.unique(codes).tolist():
                    name = None
                    if code >= 0:
                        name = names.dictionary[code].as_py()
                    own = times[codes == code]
                    num, first, last = found.get(
                        name, (0, math.inf, -math.inf)
                    )
                    found[name] = (
                        num + len(own),
                        np.fmin(first, np.fmin.reduce(own)).item(),
                        np.fmax(last, np.fmax.reduce(own)).item(),
                    )
            return found

        return self._read(read)

    def forget(self, files: Sequence[str]) -> None:
        """Delete everything of files that have changed, before they are
        added again; on disk it stays until ``delete`` or ``compact``."""
        if files:
            with self.writing():
                self._table.delete(f'file IN ({", ".join(map(_text, files))})')

    def delete(self, where: Where) -> int:
        """Delete people and records of files for good, and log it.

        Fragments that held them are written again without them, and nothing
        else keeps them: no old version, and an index is built again. A
        deletion that was killed is finished by the next one, or by
        ``finish_deletion``.

        Args:
            where: By camera, time and path; of a video that is deleted in
                part, the record stays until its last frame goes.

        Returns:
            How many people.

        Raises:
            ValueError: No condition, or one on the score: of a file whose
                good detections are gone, nobody would know.
        """
        condition = sql(where, records=True)
        if where.min_score is not None or not condition:
            raise ValueError(
                'people are deleted by camera, time or path; give one of '
                'these, and no min_score'
            )
        with self.writing():
            self._finish()
            counts, cameras, times, fragments = self._affected(condition)
            if not fragments:
                return 0
            entry = dict(
                when=time.time(),
                people=counts[0],
                records=counts[1],
                cameras=cameras,
                oldest=times[0],
                youngest=times[1],
                by=dict(
                    cameras=None if where.cameras is None else cameras,
                    after=where.after,
                    before=where.before,
                    path=where.images is not None,
                ),
            )
            begun = dict(condition=condition, fragments=fragments)
            begun.update(index=self._indices(), entry=entry)
            write_text(self.path / 'cleaning.json', json.dumps(begun))
            self._finish()
        return counts[0]

    def deletions(self) -> list[dict]:
        """The log of what was deleted, oldest first."""
        path = self.path / 'deletions.jsonl'
        if not path.exists():
            return []
        lines = path.read_text(errors='replace').splitlines()
        return [parse_note(line, ENTRY, path) for line in lines]

    def horizon(self, camera: str | None) -> float:
        """People of a camera older than this were deleted for their age, and
        must not come back; -inf if none were."""
        return max(
            (
                entry['by']['before']
                for entry in self.deletions()
                if entry['by']['before'] is not None
                and entry['by']['after'] is None
                and not entry['by']['path']
                and camera in (entry['by']['cameras'] or (camera,))
            ),
            default=-math.inf,
        )

    def finish_deletion(self) -> None:
        """Finish a deletion that was killed, if there is one."""
        if (self.path / 'cleaning.json').exists():
            with self.writing():
                self._finish()

    def compact(self) -> None:
        """Join small commits, and make or update indexes of columns.

        With these a condition costs what the people cost that it leaves.
        """
        with self.writing():
            self._index_columns()
            self._table.optimize(
                cleanup_older_than=_KEPT, delete_unverified=False
            )

    def build_index(
        self, partitions: int | None = None, probes: int | None = None
    ) -> float:
        """Make an index for approximate search, and measure its recall.

        People are put into partitions by their embedding, and a search looks
        at those in the nearest ones. The index holds the embeddings a second
        time. Columns of conditions get indexes, too.

        Args:
            partitions: About the root of the number of people for None.
            probes: Partitions that a search looks at; an eighth for None.

        Returns:
            Share of the 10 best matches that it finds, a mean of 50 people
            of the archive; also ``recall`` from now on.

        Raises:
            ValueError: Fewer than 256 people, or numbers out of range.
        """
        num = len(self)
        if num < 256:
            raise ValueError(
                f'an index needs at least 256 people, the archive has {num}; '
                'an exhaustive search of so few takes a moment'
            )
        if partitions is None:
            partitions = max(8, round(math.sqrt(num)))
        if probes is None:
            probes = max(1, partitions // 8)
        if not 1 <= probes <= partitions <= num:
            raise ValueError(
                f'1 <= probes <= partitions <= {num} people must hold, got '
                f'{probes} and {partitions}'
            )
        with self.writing():
            self._build(partitions, probes)
        return self._measure(partitions, probes)

    def writing(self):
        """Hold the lock of those who write."""
        return exclusive(self.path / 'writing.lock')

    def _build(self, partitions: int, probes: int) -> None:
        from lancedb.index import IvfFlat

        self._index_columns()
        config = IvfFlat(distance_type='dot', num_partitions=partitions)
        self._table.create_index('embedding', config=config)
        notes = dict(partitions=partitions, probes=probes, recall=None)
        write_text(self.path / 'index.json', json.dumps(notes))

    def _index_columns(self) -> None:
        """Index the columns of conditions, if they are not; the lock is
        held."""
        from lancedb.index import Bitmap, BTree

        if self._table.count_rows() < _INDEXED:
            return
        there = {
            column
            for index in self._table.list_indices()
            for column in index.columns
        }
        for name, config in (
            *(('camera', Bitmap()), ('time', BTree()), ('file', BTree())),
        ):
            if name not in there:
                self._table.create_index(name, config=config)

    def _measure(self, partitions: int, probes: int) -> float:
        rng = np.random.default_rng(0)
        offsets = rng.integers(self._table.count_rows(), size=4 * _QUERIES)
        some = self._table.take_offsets(offsets.tolist()).select(
            ['embedding', 'number']
        )
        some = some.to_arrow()
        some = some.filter(_compute().greater_equal(some['number'], 0))
        queries = matrix(some['embedding'], self.dims)[:_QUERIES]
        found = expected = 0
        best = self._read(lambda: nearest(queries, self._people(), _TOP))
        for query, labels in zip(queries, best, strict=True):
            keys = {(int(row[0]), tuple(row[2:])) for row in labels.tolist()}
            found += len(keys & _keys(self.search(query, _TOP)))
            expected += len(keys)
        recall = found / max(1, expected)
        notes = dict(partitions=partitions, probes=probes, recall=recall)
        notes.update(queries=len(queries), top=_TOP, people=len(self))
        write_text(self.path / 'index.json', json.dumps(notes))
        return recall

    def _people(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Embeddings of blocks of people; picture, number and box."""
        import pyarrow as pa

        columns = ['embedding', 'position', 'number', 'bbox']
        for batch in self._scan(columns, 'number >= 0'):
            rows = pa.Table.from_batches([batch])
            labels = np.column_stack(
                [
                    *(rows[name].to_numpy() for name in columns[1:3]),
                    matrix(rows['bbox'], 4),
                ]
            )
            yield matrix(rows['embedding'], self.dims), labels

    def _has_index(self) -> bool:
        return any(
            'embedding' in index.columns
            for index in self._table.list_indices()
        )

    def _probes(self) -> int:
        notes = self._indices()
        if notes is None:
            raise InputError(
                self.path / 'index.json',
                'is missing, and tells how to use the index',
                'Build it again: mmps archive index',
            )
        return notes['probes']

    def _indices(self) -> dict | None:
        """How the index was built, and its recall; None without one."""
        path = self.path / 'index.json'
        if not path.exists():
            return None
        return read_note(path, INDEX)

    def _drop_indices(self) -> None:
        for index in self._table.list_indices():
            self._table.drop_index(index.name)
        (self.path / 'index.json').unlink(missing_ok=True)

    def _affected(self, condition: str) -> tuple:
        """Counts, cameras, times and fragments of rows to be deleted."""
        people = records = 0
        cameras, fragments = set(), set()
        times = [math.inf, -math.inf]
        columns = ['camera', 'time', 'number']
        for batch in self._scan(columns, condition, row_ids=True):
            is_record = batch['number'].to_numpy() == RECORD
            records += int(is_record.sum())
            people += int((~is_record).sum())
            cameras |= set(batch['camera'].unique().to_pylist())
            seconds = batch['time'].drop_null().to_numpy()
            if len(seconds):
                times = [
                    min(times[0], float(seconds.min())),
                    max(times[1], float(seconds.max())),
                ]
            rows = batch['_rowid'].to_numpy() >> 32
            fragments |= set(np.unique(rows).tolist())
        if times[0] > times[1]:
            times = [None, None]
        named = sorted(camera for camera in cameras if camera is not None)
        return (people, records), named, times, sorted(map(int, fragments))

    def _finish(self) -> None:
        """Delete as ``cleaning.json`` says; the lock is held.

        Each step may be done a second time, after a kill in a later one.
        LanceDB would keep a fragment of which less than a tenth is deleted.
        To change all its rows, and to change nothing in them, writes them
        into a new one.
        """
        path = self.path / 'cleaning.json'
        if not path.exists():
            return
        begun = read_note(path, DELETION)
        index = begun['index']
        if index is not None:
            check_note(index, INDEX, path)
        self._drop_indices()
        self._table.delete(begun['condition'])
        if begun['entry'] not in self.deletions():
            with (self.path / 'deletions.jsonl').open('a') as log:
                log.write(json.dumps(begun['entry']) + '\n')
        for fragment in begun['fragments']:
            first, last = fragment << 32, (fragment + 1) << 32
            self._table.update(
                where=f'_rowid >= {first} AND _rowid < {last}',
                values_sql={'number': 'number'},
            )
        with warnings.catch_warnings():
            # all versions go: a search that is reading one begins again
            warnings.simplefilter('ignore', UserWarning)
            self._table.optimize(
                cleanup_older_than=timedelta(0), delete_unverified=True
            )
        self._index_columns()
        if index is not None and len(self) >= 256:
            index['partitions'] = min(index['partitions'], len(self))
            index['probes'] = min(index['probes'], index['partitions'])
            self._build(index['partitions'], index['probes'])
            self._measure(index['partitions'], index['probes'])
        path.unlink()

    def _reserve(self, num: int) -> int:
        """Numbers of so many pictures; the lock is held."""
        path = self.path / 'next_picture'
        first = int(path.read_text()) if path.exists() else 0
        write_text(path, str(first + num))
        return first

    def _scan(
        self, columns: list[str], condition: str, row_ids: bool = False
    ) -> Iterator:
        asked = self._table.search().where(condition).select(columns)
        if row_ids:
            asked = asked.with_row_id(True)
        asked = asked.limit(max(1, self._table.count_rows()))
        return iter(asked.to_batches(65536))

    def _read(self, read):
        """Read; again if a deletion has removed the version meanwhile."""
        while True:
            version = self._table.version
            try:
                return read()
            except (RuntimeError, OSError, ValueError):
                if self._table.version == version:
                    raise


def sql(where: Where | None, records: bool = False) -> str:
    """Conditions as LanceDB reads them; '' for none.

    Args:
        where: Conditions.
        records: Whether rows that are records of files may be meant, too.
    """
    if where is None:
        return ''
    parts = []
    if where.cameras is not None:
        names = ', '.join(map(_text, where.cameras))
        parts.append(f'camera IN ({names})' if names else 'false')
    if where.after is not None:
        parts.append(f'time >= {float(where.after)!r}')
    if where.before is not None:
        parts.append(f'time < {float(where.before)!r}')
    if where.min_score is not None:
        parts.append(f'score >= CAST({where.least_score!r} AS FLOAT)')
    if where.images is not None:
        parts.append(f'starts_with(file, {_text(where.images)})')
    if parts and not records:
        parts.append('number >= 0')
    return ' AND '.join(parts)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _keys(matches) -> set:
    return {(match.position, match.box) for match in matches}


def _refuse_others(path: Path) -> None:
    ours = {'writing.lock', 'claims.lock', 'people.lance'}
    others = {each.name for each in path.iterdir()} - ours
    others = {name for name in others if not name.startswith('.archive.json')}
    if others:
        raise InputError(
            path,
            f'holds other files ({", ".join(sorted(others)[:3])})',
            'Give the path of a new folder',
        )


def _connect(path: Path):
    """Open the folder; each time with a memory of its own, since LanceDB
    knows a version by its path, and a folder may be made anew."""
    lancedb = _lancedb()
    return lancedb.connect(
        str(path),
        read_consistency_interval=timedelta(0),
        session=lancedb.Session(metadata_cache_size_bytes=_REMEMBERED),
    )


def _lancedb():
    # a fifth of the partitions of an index may be empty; Lance warns of each
    os.environ.setdefault('LANCEDB_LOG', 'error')
    try:
        import lancedb
    except ImportError as error:
        raise InputError(
            'LanceDB',
            'is not installed, and archives need it',
            "pip install 'mmps[store]'",
        ) from error
    return lancedb


def _compute():
    import pyarrow.compute

    return pyarrow.compute
