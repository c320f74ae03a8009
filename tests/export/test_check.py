"""Networks that differ are told, by what and by how much."""

import math

import numpy as np
import pytest

from mmps.export.check import (
    LIMITS,
    Difference,
    difference,
    differences,
    table,
    total,
)
from mmps.inference.people import People

BOXES = np.float32([[0, 0, 20, 40], [50, 0, 70, 40], [100, 0, 120, 40]])


def people(boxes=BOXES, scores=(0.9, 0.8, 0.3), angles=(0, 40, 80)):
    angles = np.radians(np.float32(angles))
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return People(np.float32(boxes), np.float32(scores), embeddings)


def test_the_same_people_do_not_differ():
    found = difference(people(), people(), 0.5)
    assert (found.people, found.lost) == (2, 0)
    assert (found.box, found.score, found.embedding) == (0, 0, 0)
    assert found.above(LIMITS['fp32']) == []


def test_the_largest_difference_counts_in_any_order():
    moved = BOXES.copy()
    moved[1, 2] += 3
    moved[0, 1] -= 2
    other = people(moved, (0.9, 0.7, 0.3), (0, 40, 80 + 60))
    other = People(*(part[[1, 0, 2]] for part in other))
    found = difference(people(), other, 0.5)
    assert (found.people, found.lost) == (2, 0)
    assert found.box == pytest.approx(3 / 40)
    assert found.score == pytest.approx(0.1)
    assert found.embedding == 0  # the third one is no person for either
    found = difference(people(), other, 0.2)
    assert found.embedding == pytest.approx(1)  # a chord of 60 degrees
    assert found.above(LIMITS['fp32']) == ['box', 'score', 'embedding']
    assert found.above(LIMITS['int8']) == ['embedding']


def test_who_is_found_by_one_alone_is_lost():
    less = People(*(part[1:] for part in people()))
    for pair in ((people(), less), (less, people())):
        found = difference(*pair, 0.5)
        assert (found.people, found.lost) == (2, 1)
        assert found.above(LIMITS['fp32']) == ['lost']
    nobody = People(*(part[:0] for part in people()))
    assert difference(nobody, people(), 0.5).lost == 2
    assert difference(nobody, nobody, 0.5).people == 0


def test_a_low_score_on_one_side_is_a_difference_of_scores():
    found = difference(people(), people(scores=(0.4, 0.8, 0.3)), 0.5)
    assert (found.people, found.lost) == (2, 0)
    assert found.score == pytest.approx(0.5)


def test_all_pictures_are_summed_up():
    parts = [
        Difference(3, 1, 0.1, 0.5, 0.0, math.nan),
        Difference(2, 0, 0.4, 0.2, 0.1, 0.3),
    ]
    assert total(parts) == Difference(5, 1, 0.4, 0.5, 0.1, 0.3)
    assert math.isnan(total(parts[:1]).query)
    text = table(['a.jpg', 'b.jpg'], parts, LIMITS['fp32'])
    assert [
        line.split('│')[1].strip() for line in text.splitlines()[3:-1]
    ] == [*('a.jpg', 'b.jpg', 'all', 'limit')]
    assert f'{LIMITS["fp32"].box:g}' in text.splitlines()[-2]
    assert total([]).people == 0


class Fixed:
    """A network that sees the same people everywhere."""

    def __init__(self, found, query):
        self.found, self.query = found, np.float32(query)

    def prepare(self, scene, box=None):
        return {'box': box}

    def embed(self, item):
        assert item['box'].tolist() == BOXES[0].tolist()
        return self.query

    def detect(self, items):
        return [self.found for _ in items]


def test_a_given_box_is_compared_too():
    picture = np.zeros((50, 130, 3), np.uint8)
    pair = Fixed(people(), [1, 0]), Fixed(people(), [0.6, 0.8])
    (found,) = differences(*pair, [picture], 0.5)
    assert found.query == pytest.approx(math.hypot(0.4, 0.8))
    assert found.above(LIMITS['fp32']) == ['query']
    (found,) = differences(*pair, [picture], 0.5, embed_given=False)
    assert math.isnan(found.query)


def test_one_person_is_no_partner_of_two():
    # two overlap the same one, which is the closer one's
    boxes = np.float32([[0, 0, 20, 40], [2, 0, 22, 40]])
    two = people(boxes, (0.9, 0.9), (0, 0))
    one = People(*(part[:1] for part in two))
    for pair in ((two, one), (one, two)):
        found = difference(*pair, 0.5)
        assert (found.people, found.lost, found.box) == (2, 1, 0)
