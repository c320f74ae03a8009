"""Queries are kept as far as memory allows, pictures before states."""

from types import SimpleNamespace

import pytest
import torch

from mmps.models.query_shelf import QueryShelf

PICTURE, STATE = 2**20, 4 * 2**20


class Pictures:
    """Counts what is read."""

    def __init__(self):
        self.read = []

    def queries(self, numbers):
        for number in numbers:
            self.read.append(number)
            pixels = torch.zeros(PICTURE, dtype=torch.uint8)
            yield dict(inputs=pixels, number=number), torch.zeros(4)


@pytest.fixture
def pictures():
    return Pictures()


@pytest.fixture
def made():
    return []


@pytest.fixture
def shelf(made):
    def build(megabytes):
        def begin(item, box):
            made.append(item['number'])
            return SimpleNamespace(number=item['number'], nbytes=STATE)

        return QueryShelf(begin, megabytes)

    return build


def use(shelf, pictures, queries, times=3):
    """As a block does: all of them for one image after the other."""
    shelf.fill(queries, pictures)
    for _ in range(times):
        for query in queries:
            assert shelf.state(query, pictures).number == query
            assert shelf.nbytes <= shelf.limit


def test_what_fits_is_read_and_made_once(shelf, pictures, made):
    kept = shelf(100)
    use(kept, pictures, [1, 2, 3])
    use(kept, pictures, [2, 3, 4])
    use(kept, pictures, [1])
    assert pictures.read == made == [1, 2, 3, 4]
    assert kept.nbytes == 4 * (PICTURE + STATE)


def test_pictures_are_kept_before_states(shelf, pictures, made):
    use(shelf(3 + 4), pictures, [1, 2, 3])
    assert pictures.read == [1, 2, 3]
    assert made == [1, 2, 3, 2, 3, 2, 3]


def test_what_does_not_fit_is_read_each_time(shelf, pictures, made):
    use(shelf(2), pictures, [1, 2, 3], times=2)
    assert pictures.read == [1, 2, 3, 3, 3]
    assert made == [1, 2, 3] * 2


def test_other_queries_make_room(shelf, pictures, made):
    kept = shelf(2 * 5)
    use(kept, pictures, [1, 2])
    use(kept, pictures, [2, 3])
    assert pictures.read == made == [1, 2, 3]
    assert kept.nbytes == 2 * (PICTURE + STATE)


def test_states_make_room_for_pictures(shelf, pictures, made):
    kept = shelf(2 * 5 + 1.5)
    use(kept, pictures, [1, 2])
    assert kept.nbytes == 2 * (PICTURE + STATE)
    use(kept, pictures, [1, 2, 3, 4])
    assert pictures.read == [1, 2, 3, 4]
    assert kept.nbytes == 4 * PICTURE + STATE
