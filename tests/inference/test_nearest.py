"""One pass for many queries finds what an index finds for each."""

import numpy as np
import pytest

from mmps.inference.nearest import nearest
from tests.inference.test_gallery_index import drawn, index_of


def blocks(embeddings, size):
    rows = np.arange(len(embeddings))[:, None]
    for start in reversed(range(0, len(rows), size)):
        part = slice(start, start + size)
        yield embeddings[part], rows[part]


@pytest.mark.parametrize('size', [1, 7, 64, 1000])
def test_people_are_those_of_an_index_ties_included(size):
    embeddings, _ = drawn(3, num=300, dims=16)
    index = index_of(embeddings, [1] * 300)
    queries = embeddings[[0, 17, 150, 299]]  # of each there are equals
    found = nearest(queries, blocks(embeddings, size), 10)
    for query, rows in zip(queries, found, strict=True):
        assert rows[:, 0].tolist() == index.ranked(query, 10)[0].tolist()


def test_of_few_people_all_are_found():
    embeddings, query = drawn(0, num=3, dims=16)
    (rows,) = nearest(query[None], blocks(embeddings, 2), 10)
    assert sorted(rows[:, 0].tolist()) == [0, 1, 2]
