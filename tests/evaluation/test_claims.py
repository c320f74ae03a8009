"""Of many processes one has a claim; a dead one loses it."""

import multiprocessing
import os
import time

import pytest

from mmps.evaluation.claims import Claims


def make_old(file, seconds):
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


def test_one_has_a_claim_until_it_is_released(tmp_path):
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take('a')
        assert one.has('a')
        assert not other.take('a')
        assert not other.has('a')
        assert other.take('b')
        one.release('a')
        assert other.take('a')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('age', 'taken'), [(50, False), (70, True)])
def test_a_claim_without_a_sign_of_life_is_taken_over(tmp_path, age, taken):
    dead = Claims(tmp_path, stale_after=60)
    assert dead.take('a')  # never entered: nothing keeps it alive
    (file,) = tmp_path.glob('*.claim')
    make_old(file, age)
    with Claims(tmp_path, stale_after=60) as one:
        assert one.take('a') == taken
        with Claims(tmp_path, stale_after=60) as other:
            assert not other.take('a')
        if taken:
            one.release('a')
            assert not list(tmp_path.glob('*.claim'))


def test_who_took_over_may_die_too(tmp_path):
    for number in range(3):
        claims = Claims(tmp_path, stale_after=60)
        assert claims.take('a')
        assert not claims.take('a')
        assert len(list(tmp_path.glob('*.claim'))) == number + 1
        for file in tmp_path.glob('*.claim'):
            make_old(file, 70)


def test_a_process_that_was_paused_does_not_release_what_is_anothers(tmp_path):
    paused = Claims(tmp_path, stale_after=60)
    assert paused.take('a')
    (file,) = tmp_path.glob('*.claim')
    make_old(file, 70)
    with Claims(tmp_path, stale_after=60) as one:
        assert one.take('a')
        paused.release('a')
        with Claims(tmp_path, stale_after=60) as other:
            assert not other.take('a')


def test_a_claim_is_kept_alive(tmp_path):
    with Claims(tmp_path, stale_after=0.06) as one:
        assert one.take('a')
        (file,) = tmp_path.glob('*.claim')
        for _ in range(3):
            young, deadline = file.stat().st_mtime, time.monotonic() + 60
            make_old(file, 70)
            while file.stat().st_mtime < young - 60:
                assert time.monotonic() < deadline, 'no sign of life'
                time.sleep(0.01)
        with Claims(tmp_path, stale_after=60) as other:
            assert not other.take('a')


def test_clocks_that_differ_do_not_count(tmp_path, monkeypatch):
    one = Claims(tmp_path, stale_after=60)
    assert one.take('a')
    monkeypatch.setattr(time, 'time', lambda: 2e9)
    monkeypatch.setattr(time, 'time_ns', lambda: int(2e18))
    with Claims(tmp_path, stale_after=60) as other:
        assert not other.take('a')


def test_no_time_at_all_is_refused(tmp_path):
    with pytest.raises(ValueError, match='stale_after must be > 0'):
        Claims(tmp_path, 0)


def take_over(folder, start, won):
    claims = Claims(folder, stale_after=60)
    start.wait()
    for number in range(50):
        if claims.take(f'unit{number}'):
            won.put(number)


def test_of_many_exactly_one_takes_over(tmp_path):
    dead = Claims(tmp_path, stale_after=60)
    for number in range(50):
        assert dead.take(f'unit{number}')
    for file in tmp_path.glob('*.claim'):
        make_old(file, 70)
    context = multiprocessing.get_context('fork')
    start, won = context.Event(), context.Queue()
    processes = [
        context.Process(target=take_over, args=(tmp_path, start, won))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    start.set()
    numbers = sorted(won.get(timeout=60) for _ in range(50))
    for process in processes:
        process.join(60)
    assert won.empty()
    assert numbers == list(range(50))
