"""Pairs in order and in batches, with a searcher that only takes notes."""

from types import SimpleNamespace

import numpy as np
import pytest

from mmps.evaluation.run_pairs import batched, pairs_in_order, run_pairs
from mmps.models.bounded_cache import BoundedCache


def test_pairs_go_image_by_image_or_query_by_query():
    images = {4: np.array([2, 7]), 1: np.array([0, 7, 9]), 3: np.array([2])}
    by_query = [(4, 2), (4, 7), (1, 0), (1, 7), (1, 9), (3, 2)]
    assert list(pairs_in_order(images, True)) == by_query
    by_image = [(1, 0), (4, 2), (3, 2), (4, 7), (1, 7), (1, 9)]
    assert list(pairs_in_order(images, False)) == by_image
    assert list(pairs_in_order({}, False)) == []


class Recorder:
    """In place of a searcher: notes what is prepared, results are pairs."""

    def __init__(self, gated, cache_mb=1):
        self.gated = gated
        self.cache = BoundedCache(cache_mb)
        self.prepared = []

    def prepare(self, kind):
        def state(number):
            self.prepared.append((kind, number))
            return SimpleNamespace(number=number, nbytes=1)

        return state

    def search(self, pairs):
        return [(query.number, image.number) for query, image in pairs]


@pytest.mark.parametrize('gated', [False, True])
def test_queries_and_images_are_prepared_once(gated):
    images = {4: np.array([2, 7, 8]), 1: np.array([2, 7]), 3: np.array([8])}
    searcher = Recorder(gated)
    counts = []
    found = run_pairs(
        searcher,
        images,
        searcher.prepare('query'),
        searcher.prepare('image'),
        2,
        counts.append,
    )
    assert found == {
        query: {image: (query, image) for image in wanted.tolist()}
        for query, wanted in images.items()
    }
    assert counts == [2, 2, 2]
    assert sorted(searcher.prepared) == sorted(
        [('query', q) for q in images] + [('image', i) for i in (2, 7, 8)]
    )


@pytest.mark.parametrize(
    ('gated', 'prepared'),
    [(False, [2, 7, 8]), (True, [2, 7, 8, 2, 7])],
)
def test_without_a_cache_images_are_prepared_once_only_in_their_order(
    gated, prepared
):
    images = {4: np.array([2, 7, 8]), 1: np.array([2, 7])}
    searcher = Recorder(gated, cache_mb=0)
    query, image = searcher.prepare('query'), searcher.prepare('image')
    found = run_pairs(searcher, images, query, image, 1)
    assert found[4] == {2: (4, 2), 7: (4, 7), 8: (4, 8)}
    assert found[1] == {2: (1, 2), 7: (1, 7)}
    seen = [number for kind, number in searcher.prepared if kind == 'image']
    assert seen == prepared


def test_a_query_without_images_finds_nothing():
    searcher = Recorder(gated=False)
    images = {4: np.zeros(0, np.int64)}
    query, image = searcher.prepare('query'), searcher.prepare('image')
    assert run_pairs(searcher, images, query, image, 2) == {4: {}}
    assert searcher.prepared == []


@pytest.mark.parametrize('size', [1, 2, 3, 7, 8])
@pytest.mark.parametrize('number', [0, 1, 6, 7])
def test_batches_are_slices(number, size):
    items = list(range(number))
    expected = [items[i : i + size] for i in range(0, number, size)]
    assert list(batched(items, size)) == expected
    assert list(batched(iter(items), size)) == expected
