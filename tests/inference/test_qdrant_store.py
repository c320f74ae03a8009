"""A collection of Qdrant finds what an index finds.

With the local mode of the client, which holds everything in this process: no
server takes part.
"""

import sys

import numpy as np
import pytest

pytest.importorskip('qdrant_client')

from qdrant_client import QdrantClient, models

from mmps.errors import InputError
from mmps.inference import QdrantStore, Source, Where
from tests.inference.test_gallery_index import drawn, index_of

NOON = 1.7e9


def pictures(num=60, dims=16):
    embeddings, _ = drawn(0, num=num * 5, dims=dims)
    sources = [
        Source(
            f'/rec/{i}.mp4',
            i,
            i / 2,
            camera=('gate', 'back')[i % 2],
            time=NOON + i,
        )
        for i in range(num)
    ]
    return index_of(embeddings, [5] * num, sources)


@pytest.fixture(scope='module')
def index():
    return pictures()


def filled(index):
    client = QdrantClient(':memory:')
    dims = index.boxes.embeddings.shape[1]
    store = QdrantStore.create(client, 'net', 0.5, dims)
    store.add(index.sources, index.boxes)
    return store


@pytest.fixture(scope='module')
def store(index):
    """To be read alone."""
    return filled(index)


def placed(matches, first):
    """With positions from 0."""
    return [m._replace(position=m.position - first) for m in matches]


@pytest.mark.parametrize(
    'where',
    [
        None,
        Where(cameras=['gate']),
        Where(cameras=[]),
        Where(after=NOON + 5, before=NOON + 30, min_score=0.7),
    ],
)
def test_lists_are_those_of_the_index_to_the_last_bit(store, index, where):
    assert store.exact
    for seed in range(3):
        _, query = drawn(seed)
        whole = store.search(query, None)
        first = min(match.position for match in whole)
        for top in (1, 20, None):
            found = placed(store.search(query, top, where), first)
            assert found == index.search(query, top, where)


def test_what_is_added_twice_is_there_once(index):
    store = filled(index)
    store.add(index.sources, index.boxes)
    assert len(store) == len(index)
    query = drawn(1)[1]
    found = store.search(query, None)
    first = min(match.position for match in found)
    assert placed(found, first) == index.search(query, None)


def test_a_collection_is_opened_again_and_kept_apart(store):
    again = QdrantStore(store.client)
    assert (again.network, again.det_thr, again.dims) == ('net', 0.5, 16)
    with pytest.raises(FileNotFoundError, match="collection 'x'"):
        QdrantStore(store.client, 'x')
    with pytest.raises(ValueError, match='by network net, this is other'):
        QdrantStore.create(store.client, 'other', 0.5, 16)
    with pytest.raises(ValueError, match=r'0\.5 and more .* 16 .* 0\.4 and'):
        QdrantStore.create(store.client, 'net', 0.4, 16)
    store.client.create_collection(
        'foreign',
        vectors_config=models.VectorParams(size=4, distance='Dot'),
    )
    with pytest.raises(ValueError, match='was not made by'):
        QdrantStore(store.client, 'foreign')


def test_people_are_deleted_by_what_is_asked(index):
    store = filled(index)
    assert store.delete(Where(cameras=['gate'], before=NOON + 20)) == 50
    assert len(store) == len(index) - 50
    left = store.search(drawn(0)[1], None)
    assert not any(
        m.source.camera == 'gate' and m.source.time < NOON + 20 for m in left
    )
    with pytest.raises(ValueError, match='camera, time or score'):
        store.delete(Where())
    with pytest.raises(ValueError, match='no beginnings of paths'):
        store.delete(Where(images='/rec'))


def test_other_sizes_and_a_missing_client_are_named(store, monkeypatch):
    with pytest.raises(ValueError, match='of 16 numbers, these have 8'):
        store.add(*_few())
    monkeypatch.setitem(sys.modules, 'qdrant_client', None)
    with pytest.raises(InputError, match=r"pip install 'mmps\[qdrant\]'"):
        QdrantStore('http://localhost:6333')


def _few():
    few = pictures(2, dims=8)
    assert np.isfinite(few.boxes.embeddings).all()
    return few.sources, few.boxes
