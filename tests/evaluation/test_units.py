"""Pairs are cut into units of equal size, which are all run once."""

import numpy as np
import pytest

from mmps.evaluation.claims import Claims
from mmps.evaluation.units import UNITS, cut, run_units, unit_size


def drawn(seed, queries=23, images=50, share=0.4):
    rng = np.random.default_rng(seed)
    return {
        int(query): np.flatnonzero(rng.random(images) < share)
        for query in rng.permutation(100)[:queries]
    }


def as_set(wanted):
    return {(q, i) for q, images in wanted.items() for i in images.tolist()}


@pytest.mark.parametrize('size', [1, 7, 40, 10_000])
@pytest.mark.parametrize('block', [1, 4, 100])
@pytest.mark.parametrize('seed', range(3))
def test_each_pair_is_in_one_unit_and_each_image_in_one_of_a_block(
    seed, block, size
):
    wanted = drawn(seed)
    units = list(cut(wanted, block, size))
    pairs = [
        pair
        for unit in units
        for pair in zip(*(part.tolist() for part in unit), strict=True)
    ]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == as_set(wanted)
    queries = sorted(wanted)
    block_of = {query: i // block for i, query in enumerate(queries)}
    read = [
        (block_of[unit.queries[0]], image)
        for unit in units
        for image in np.unique(unit.images).tolist()
    ]
    assert len(read) == len(set(read))
    for unit in units:
        assert len({block_of[query] for query in unit.queries.tolist()}) == 1
        rows = list(
            zip(unit.images.tolist(), unit.queries.tolist(), strict=True)
        )
        assert rows == sorted(rows)


def test_units_are_about_as_large_as_asked_for():
    wanted = dict.fromkeys(range(30), np.arange(6111))  # PRW-mini
    sizes = [len(unit.queries) for unit in cut(wanted, 64, 180)]
    assert len(sizes) == 1018  # 183 330 / 180
    assert set(sizes) == {180, 210}
    sizes = [len(unit.queries) for unit in cut(drawn(0, 60), 64, 100)]
    assert min(sizes) > 60
    assert max(sizes) < 140


def test_nothing_to_run_is_no_unit():
    assert list(cut({}, 4, 10)) == []
    assert list(cut({3: np.zeros(0, np.int64)}, 4, 10)) == []


@pytest.mark.parametrize(
    ('pairs', 'size'),
    [(0, 32), (100, 32), (183_330, 180), (290_000, 284), (12_570_327, 2048)],
)
def test_the_size_of_a_unit_follows_from_the_work(pairs, size):
    assert unit_size(pairs) == size
    if 32 < size < 2048:
        assert pairs <= size * UNITS


# --- running them


@pytest.fixture
def files(tmp_path):
    return [tmp_path / f'{number}.npz' for number in range(6)]


@pytest.fixture
def claims(tmp_path):
    with Claims(tmp_path / 'claims') as claims:
        yield claims


@pytest.mark.parametrize('start', [0, 4])
def test_units_that_are_not_done_run_from_where_a_process_begins(
    files, claims, start
):
    files[2].touch()
    ran, done = [], []

    def run(number):
        ran.append(number)
        files[number].touch()

    run_units(files, run, claims, start=start, done=done.append)
    order = [(start + i) % 6 for i in range(6)]
    assert ran == [number for number in order if number != 2]
    assert done == order


def test_units_of_others_are_waited_for(files, claims, tmp_path):
    ran, waited = [], []
    with Claims(tmp_path / 'claims') as other:
        for number in (1, 3):
            assert other.take(str(number))

        def run(number):
            ran.append(number)
            files[number].touch()

        def waiting(number):
            waited.append(number)
            left = [n for n in (1, 3) if other.has(str(n))]
            files[left[0]].touch()
            other.release(str(left[0]))

        run_units(files, run, claims, waiting=waiting, poll=0)
    assert ran == [0, 2, 4, 5]
    assert waited == [2, 1]


def test_a_unit_that_fails_is_free_for_others(files, claims):
    def run(number):
        if number == 1:
            raise KeyboardInterrupt
        files[number].touch()

    with pytest.raises(KeyboardInterrupt):
        run_units(files, run, claims)
    with Claims(claims.folder) as other:
        assert other.take('1')


def test_a_unit_that_was_done_just_now_does_not_run(files, claims):
    class Late:
        """The owner ends between the look at the file and the claim."""

        def take(self, name):
            files[int(name)].touch()
            return claims.take(name)

        release = claims.release

    run_units(files, pytest.fail, Late())
    assert all(file.exists() for file in files)
