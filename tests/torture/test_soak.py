"""What the soak takes for a leak."""

import pytest

from .soak import GROWTH, Levels

MB = 10**6


def levels(leak=0, files=lambda turn: 5, start=0):
    """Of 1000 turns, with what a program takes as it begins."""
    return Levels(
        memory=[
            (300 + 100 * (turn > start)) * MB + leak * turn
            for turn in range(1000)
        ],
        files=[files(turn) for turn in range(1000)],
        threads=[2 + (turn > start) for turn in range(1000)],
    )


def test_a_beginning_is_no_growth():
    growth = levels(start=90).growth()
    assert growth == dict(memory=0.0, files=0, threads=0)


@pytest.mark.parametrize('leak', [10_000, 1000])
def test_what_every_turn_leaves_behind_is_growth(leak):
    growth = levels(leak).growth()['memory']
    # 800 turns lie between the middles of the two tenths
    assert growth == pytest.approx(800 * leak / (400 * MB), rel=0.02)
    assert (growth > GROWTH) == (leak == 10_000)


def test_a_file_that_stays_open_is_growth():
    assert levels(files=lambda turn: 5 + turn // 500).growth()['files'] == 1
    assert levels(files=lambda turn: 5 + turn % 2).growth()['files'] == 0


def test_this_process_is_measured():
    found = Levels()
    found.note()
    with open(__file__):
        found.note()
    assert found.files[1] == found.files[0] + 1
    assert found.memory[0] > 10 * MB
    assert found.threads[0] >= 1
