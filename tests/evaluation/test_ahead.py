import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmps.evaluation.ahead import load_ahead


@pytest.mark.parametrize('threads', [0, 1, 4])
def test_what_is_loaded_comes_in_order(threads):
    pool = ThreadPoolExecutor(threads) if threads else None
    loaded = load_ahead(lambda key: key * 10, range(25), pool, 2 * threads)
    assert list(loaded) == [key * 10 for key in range(25)]


def test_no_more_is_loaded_than_asked_for():
    started = []
    with ThreadPoolExecutor(2) as pool:
        loaded = load_ahead(started.append, range(10), pool, 3)
        next(loaded)
        loaded.close()
    # two threads may note theirs in either order
    assert sorted(started) == list(range(len(started)))
    assert 1 <= len(started) <= 4


def test_things_are_loaded_at_the_same_time():
    meeting = threading.Barrier(3, timeout=60)
    with ThreadPoolExecutor(3) as pool:
        loaded = load_ahead(lambda _: meeting.wait(), range(3), pool, 3)
        assert sorted(loaded) == [0, 1, 2]


@pytest.mark.parametrize('threads', [0, 2])
def test_an_error_comes_where_its_thing_would(threads):
    pool = ThreadPoolExecutor(threads) if threads else None
    loaded = load_ahead(lambda key: 1 / (2 - key), range(5), pool, 4)
    assert next(loaded) == 0.5
    assert next(loaded) == 1
    with pytest.raises(ZeroDivisionError):
        next(loaded)
