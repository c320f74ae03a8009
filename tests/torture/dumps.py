"""Damaged dumps of features, gallery indexes and findings of pairs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from mmps.evaluation import read_dump, write_dump
from mmps.evaluation.pair_findings import PairTable
from mmps.evaluation.pair_store import Identities, read_table, write_table
from mmps.evaluation.plain_pass import read_records, write_records
from mmps.evaluation.stored_pairs import note_test_set, read_search_set
from mmps.inference.gallery_index import GalleryIndex
from mmps.inference.matches import Source
from tests.evaluation.random_sets import random_features

from .damage import Subject, look_at_all
from .trial import Trial


def attack(trial: Trial) -> str:
    """Read damaged files of each kind, in turn."""
    tally = look_at_all(trial, _subjects(trial.folder), ValueError)
    if trial.done >= 1000:
        with trial.attempt(trial.done):
            for kind in tally.kinds:
                assert tally.right[kind]
                assert tally.refused[kind] > 100
    return str(tally)


def _subjects(folder: Path) -> dict[str, Subject]:
    features = random_features(seed=2, ties=False)
    again = folder / 'again'

    def subject(name: str, write: Callable, read: Callable) -> Subject:
        """What is read is written again, and its bytes are compared."""
        path = folder / f'{name}.npz'
        write(path)

        def rewritten(damaged: Path) -> bytes:
            return read(damaged, again)

        return Subject(path, path.read_bytes(), rewritten)

    def feature_dump(path: Path, to: Path) -> bytes:
        write_dump(read_dump(path), to)
        return to.read_bytes()

    def index(path: Path, to: Path) -> bytes:
        GalleryIndex.load(path).save(to)
        return to.read_bytes()

    def findings(path: Path, to: Path) -> bytes:
        write_table(to, *read_table(path))
        return to.read_bytes()

    def records(path: Path, to: Path) -> bytes:
        write_records(to, read_records(path))
        return to.read_bytes()

    def test_set(path: Path, to: Path) -> bytes:
        return _test_set(read_search_set(path), to.with_suffix('.set'))

    return {
        'feature dump': subject(
            'dump', partial(write_dump, features), feature_dump
        ),
        'gallery index': subject('index', _index(features).save, index),
        'pair findings': subject(
            'unit', partial(write_table, table=_pairs(), det_thr=0.5), findings
        ),
        'plain records': subject(
            'plain', partial(write_records, records=_records()), records
        ),
        'test set of pairs': subject(
            'set', partial(_write_test_set, features), test_set
        ),
    }


def _index(features) -> GalleryIndex:
    sources = [
        Source(name, None, None, 'c1', 1.5 * number)
        for number, name in enumerate(features.image_names)
    ]
    return GalleryIndex(
        sources, features.detections, 'fingerprint', 0.25, ('broken.jpg',)
    )


def _pairs() -> PairTable:
    rng = np.random.default_rng(0)
    counts = np.array([2, 0, 3])
    return PairTable(
        rng.integers(2**60, size=3).astype(np.uint64),
        rng.integers(2**60, size=3).astype(np.uint64),
        counts,
        rng.random((5, 4)).astype(np.float32),
        rng.random(5).astype(np.float32),
        rng.random(5).astype(np.float32),
    )


def _records() -> list[dict]:
    boxes = np.arange(8, dtype=np.float32).reshape(2, 4)
    return [
        dict(img_id=3, bboxes=boxes, gt_ids=np.array([4]), embeddings=None),
        dict(img_id=0, bboxes=boxes[:0], gt_ids=np.zeros(0, np.int64)),
    ]


def _write_test_set(features, path: Path) -> None:
    meta = dict(
        protocols=features.protocols,
        image_names=features.image_names,
        queries=features.queries,
    )
    names = features.image_names
    identities = Identities.of(names, names, features.queries)
    path.write_bytes(_noted(path.with_suffix('.whole'), meta, identities))


def _test_set(found, folder: Path) -> bytes:
    meta = dict(
        protocols=found.protocols,
        image_names=found.image_names,
        queries=found.queries,
    )
    return _noted(folder, meta, found.identities)


def _noted(folder: Path, meta: dict, identities: Identities) -> bytes:
    note_test_set(folder, meta, identities)
    (file,) = folder.iterdir()
    content = file.read_bytes()
    file.unlink()
    return content
