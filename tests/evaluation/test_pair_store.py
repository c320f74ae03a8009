"""Findings are known again by picture, query box and threshold."""

from dataclasses import fields

import numpy as np
import pytest

from mmps.evaluation.pair_findings import PairTable
from mmps.evaluation.pair_store import (
    Identities,
    PairStore,
    note_settings,
    outdated,
    read_table,
    write_table,
)
from mmps.structures import Query

NAMES = ['a.jpg', 'b.jpg', 'c.jpg']
QUERIES = (
    Query(0, np.array([1.0, 2, 3, 4]), 'p1'),
    Query(1, np.array([1.0, 2, 3, 4]), 'p2'),
    Query(0, np.array([1.0, 2, 3, 5]), 'p1'),
)


@pytest.fixture
def paths(tmp_path):
    files = [tmp_path / name for name in NAMES]
    for number, file in enumerate(files):
        file.write_bytes(b'x' * number)
    return files


def table_of(pairs, score=0.5):
    """A box for each pair."""
    queries, images = (
        np.array(part, np.int64) for part in zip(*pairs, strict=True)
    )
    numbers = (10 * queries + images).astype(np.float32)
    return PairTable(
        queries,
        images,
        np.ones(len(pairs), np.int64),
        np.repeat(numbers[:, None], 4, axis=1),
        np.full(len(pairs), score, np.float32),
        numbers,
    )


def rows(table):
    return list(
        zip(
            table.queries.tolist(),
            table.images.tolist(),
            table.similarity.tolist(),
            strict=True,
        )
    )


def test_what_a_picture_and_a_query_are(paths):
    known = Identities.of(NAMES, paths, QUERIES)
    assert len(set(known.images.tolist())) == 3
    assert len(set(known.queries.tolist())) == 3
    again = Identities.of(NAMES, paths, QUERIES)
    np.testing.assert_array_equal(known.images, again.images)
    paths[1].write_bytes(b'another size')
    changed = Identities.of(NAMES, paths, QUERIES)
    assert (changed.images != known.images).tolist() == [False, True, False]
    assert (changed.queries != known.queries).tolist() == [False, True, False]
    others = [QUERIES[2], *QUERIES[1:]]
    moved = Identities.of(NAMES, paths, others)
    assert moved.queries[0] == moved.queries[2] == changed.queries[2]
    remote = [f's3://bucket/{name}' for name in NAMES]
    assert len(set(Identities.of(NAMES, remote, ()).images.tolist())) == 3


def test_findings_follow_pictures_and_queries_to_other_numbers(paths):
    known = Identities.of(NAMES, paths, QUERIES)
    named = known.named(table_of([(0, 2), (1, 0), (2, 1)]))
    order = [2, 0]  # picture b is gone
    other = Identities.of(
        [NAMES[i] for i in order],
        [paths[i] for i in order],
        [Query(1, q.bbox, q.identity) for q in (QUERIES[2], QUERIES[0])]
        + [Query(1, QUERIES[0].bbox, 'the same again')],
    )
    assert rows(other.numbered(named, range(3))) == [(1, 0, 2), (2, 0, 2)]
    assert rows(other.numbered(named, [2])) == [(2, 0, 2)]
    assert rows(other.numbered(named, [0])) == []
    assert rows(known.numbered(named, range(3))) == [
        (0, 2, 2),
        (1, 0, 10),
        (2, 1, 21),
    ]


@pytest.fixture
def store(tmp_path, paths):
    known = Identities.of(NAMES, paths, QUERIES)
    return PairStore(tmp_path / 'key', known, 0.5)


def with_threshold(store, det_thr):
    return PairStore(store.folder, store.identities, det_thr)


def test_tables_are_read_as_they_were_written(tmp_path):
    table = table_of([(3, 4), (5, 6)])
    file = tmp_path / 'deep' / 'a.npz'
    write_table(file, table, 0.25)
    again, threshold = read_table(file)
    assert threshold == 0.25
    for part in fields(PairTable):
        value = getattr(again, part.name)
        np.testing.assert_array_equal(value, getattr(table, part.name))
        assert value.dtype == getattr(table, part.name).dtype
    assert [path.name for path in file.parent.iterdir()] == ['a.npz']


def test_a_plan_is_what_was_there_when_it_was_made(store):
    wanted = {0: np.array([0, 1]), 2: np.array([1])}
    plan, reused, too_high = store.plan(wanted, (16,))
    assert (reused, too_high) == ([], 0)
    first, second = store.units(plan, 2)
    store.write(first, table_of([(0, 0)]))
    assert store.plan(wanted, (16,)) == (plan, [], 0)
    another, reused, _ = store.plan(wanted, (8,))
    assert another != plan
    assert reused == [first]
    assert rows_missing(store, wanted, reused) == {0: [1], 2: [1]}
    store.write(second, table_of([(0, 1), (2, 1), (1, 1)]))
    more = {**wanted, 2: np.array([0, 1])}
    _, reused, _ = store.plan(more, (8,))
    assert reused == [first, second]
    assert rows_missing(store, more, reused) == {2: [0]}
    # and a test that goes on finds its own plan
    assert store.plan(wanted, (8,)) == (another, [first], 0)


def rows_missing(store, wanted, files):
    missing = store.missing(wanted, files)
    return {query: images.tolist() for query, images in missing.items()}


def test_a_threshold_above_that_of_the_file_takes_what_is_there(store):
    wanted = {0: np.array([0, 1])}
    plan, _, _ = store.plan(wanted, ())
    (file,) = store.units(plan, 1)
    store.write(file, table_of([(0, 0), (0, 1)], score=0.6))
    for threshold, reused, too_high, boxes in (
        (0.6, [file], 0, 2),
        (0.7, [file], 0, 0),
        (0.4, [], 2, 0),
    ):
        other = with_threshold(store, threshold)
        assert other.plan(wanted, ())[1:] == (reused, too_high)
        assert len(other.read(reused, wanted).scores) == boxes


def test_an_older_layout_is_told_from_this_one(tmp_path):
    assert outdated(tmp_path / 'pairs') == []
    old, new = tmp_path / 'pairs' / 'old', tmp_path / 'pairs' / 'new'
    old.mkdir(parents=True)
    note_settings(new, dict(fp16=False))
    (new / 'units').mkdir()
    assert outdated(tmp_path / 'pairs') == []
    (old / '0_64.npz').touch()
    assert outdated(tmp_path / 'pairs') == [old]
    note_settings(new, dict(fp16=True))  # the first stays
    assert 'false' in (new / 'settings.json').read_text()
    assert [path.name for path in new.iterdir() if path.is_file()] == [
        'settings.json'
    ]
