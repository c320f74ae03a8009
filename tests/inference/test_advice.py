from types import SimpleNamespace

import numpy as np
import pytest

from mmps.inference import Match, Source
from mmps.inference.advice import about_matches, about_query, about_training
from mmps.zoo import load_index

PEOPLE = np.array([[0.0, 0, 10, 20], [100, 0, 120, 40]])


def match(similarity):
    return Match(Source('a.jpg'), 0, (0, 0, 9, 9), similarity, 0.9)


def test_a_network_of_synthetic_people_is_named():
    entries = load_index().entries
    note = about_training(entries['oim_r18_synth'])
    assert note.startswith('oim_r18_synth was trained on synthetic people')
    assert 'synth-small' in note
    assert about_training(entries['oim_r50_prw']) is None
    assert about_training(None) is None


@pytest.mark.parametrize(
    ('box', 'best'),
    [
        ((0, 0, 10, 20), None),
        ((100, 0, 120, 20), None),  # half of the person: exactly 0.5
        ((100, 0, 120, 19), '0.47'),
        ((50, 0, 60, 20), '0.00'),
    ],
)
def test_a_box_around_nobody_is_said(box, best):
    note = about_query(box, PEOPLE)
    if best is None:
        assert note is None
    else:
        assert f'the best overlap with anybody is {best}' in note


def test_a_picture_of_nobody_is_said():
    assert 'sees nobody' in about_query((0, 0, 9, 9), PEOPLE[:0])


def test_a_search_without_a_match_is_said():
    found = [match(0.7), match(0.1)]
    assert about_matches(found, 0.7) is None
    note = about_matches(found, 0.701)
    assert 'as similar as 0.701' in note
    assert 'the best is 0.700' in note
    assert about_matches(found, None) is None
    assert about_matches([], 0.5) is None


def test_the_zoo_knows_what_a_match_is():
    measured = {
        name: entry.match_threshold
        for name, entry in load_index().entries.items()
        if entry.match_threshold is not None
    }
    assert measured.keys() >= {'oim_r18_synth', 'oim_r18_qeeps50_synth'}
    assert all(0 < value < 1 for value in measured.values())
    entry = SimpleNamespace(is_synthetic=False)
    assert about_training(entry) is None
