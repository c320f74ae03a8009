"""A store of any arithmetic within its bound finds what an index finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmps.evaluation.search import on_grid
from mmps.inference import Candidates, GalleryStore, Source, Where
from mmps.inference.gallery_store import best_pictures
from tests.inference.test_gallery_index import drawn, index_of, unit


class Rough(GalleryStore):
    """The people of an index, found by an arithmetic as bad as may be."""

    network, det_thr, exact = 'net', 0.5, True

    def __init__(self, index, seed):
        self.index = index
        self.dims = index.boxes.embeddings.shape[1]
        rng = np.random.default_rng(seed)
        self.wrong = rng.choice([-0.99, 0.99], len(index)) * self.error
        self.fetched = []

    def __len__(self):
        return len(self.index)

    def candidates(self, query, num, where=None):
        boxes = self.index.boxes
        exact = on_grid(boxes.embeddings) @ on_grid(query)
        rough = exact + self.wrong
        rows = np.argsort(-rough, kind='stable')
        if where is not None:
            kept = where.pictures(self.index.sources)[boxes.image]
            rows = rows[kept[rows]]
        rows = rows[:num]
        self.fetched.append(len(rows))
        return Candidates(
            [self.index.sources[i] for i in boxes.image[rows]],
            boxes.image[rows],
            rows - boxes.offsets[boxes.image[rows]],
            boxes.bboxes[rows],
            boxes.scores[rows],
            boxes.embeddings[rows],
            rough[rows],
        )

    def add(self, sources, boxes):
        raise NotImplementedError

    def delete(self, where):
        raise NotImplementedError


@given(
    seed=st.integers(0, 1000),
    top=st.sampled_from([1, 2, 7, 50, 299, 300, 1000, None]),
)
def test_the_list_is_that_of_the_index(seed, top):
    # many equal rows, more than the margin holds
    embeddings, query = drawn(seed, distinct=5 if seed % 2 else 40)
    index = index_of(embeddings, [20] * 15)
    assert Rough(index, seed).search(query, top) == index.search(query, top)


def test_no_more_is_fetched_than_needed():
    rows = unit(np.random.default_rng(0).normal(size=(5000, 256)))
    store = Rough(index_of(rows, [5] * 1000), 0)
    assert store.search(rows[7], 10)[0].similarity == pytest.approx(1)
    assert store.fetched == [42]
    equal = Rough(index_of(np.tile(rows[:1], (100, 1))), 0)
    assert [m.box for m in equal.search(rows[0], 3)] == [
        m.box for m in equal.index.search(rows[0], 3)
    ]
    assert equal.fetched == [35, 70, 100]


def test_the_last_bit_decides_in_any_arithmetic():
    rng = np.random.default_rng(0)
    base = rng.normal(size=256)
    rows = unit(base + 1e-7 * rng.normal(size=(2000, 256)))
    index = index_of(rows, [4] * 500)
    for seed in range(3):
        assert Rough(index, seed).search(rows[0], 20) == index.search(
            rows[0], 20
        )


def test_pictures_are_ranked_by_their_best_person():
    embeddings, query = drawn(3)
    sources = [Source(f'{i}.jpg', camera='ab'[i % 2]) for i in range(60)]
    index = index_of(embeddings, [5] * 60, sources)
    for where in (None, Where(cameras=['a'])):
        ranked = index.search(query, None, where)
        expected = list(dict.fromkeys(m.position for m in ranked))
        for num in (1, 10, 60):
            for gallery in (index, Rough(index, 0)):
                found = best_pictures(gallery, query, num, where)
                assert list(found) == expected[:num]
                assert [sources[i] for i in found] == list(found.values())


def test_another_network_or_a_lower_threshold_is_refused():
    store = Rough(index_of(unit(np.eye(3))), 0)
    store.check_maker('net', 0.5)
    store.check_maker('net', 0.8)  # that is a min_score
    with pytest.raises(ValueError, match='archive was made by network net, t'):
        store.check_maker('other', 0.5)
    with pytest.raises(ValueError, match=r'score of 0\.5 and more.* 0\.3'):
        store.check_maker('net', 0.3)
    with pytest.raises(ValueError, match='shape'):
        store.search(np.zeros(2))
    with pytest.raises(ValueError, match='top must be'):
        store.search(np.eye(3)[0], 0)
