import numpy as np
import pytest

from mmps.demo.picking import SMALLEST, Query, person_at

PEOPLE = np.array(
    [[10, 10, 50, 90], [20, 20, 40, 60], [60, 10, 80, 50]], float
)


def query(people=PEOPLE):
    return Query(np.zeros((100, 120, 3), np.uint8), people, 'a.jpg')


def smallest_around(people, x, y):
    """The slow way."""
    best = None
    for x1, y1, x2, y2 in people.tolist():
        if x1 <= x <= x2 and y1 <= y <= y2:
            area = (x2 - x1) * (y2 - y1)
            if best is None or area < best[0]:
                best = area, (x1, y1, x2, y2)
    return best and best[1]


def test_a_point_is_on_the_smallest_box_around_it():
    for x in range(0, 121, 10):
        for y in range(0, 101, 10):
            assert person_at(PEOPLE, x, y) == smallest_around(PEOPLE, x, y)
    assert person_at(np.zeros((0, 4)), 5, 5) is None


def test_a_click_on_a_person_picks_the_person():
    picked = query().clicked(30, 30)
    assert picked.box == (20, 20, 40, 60)
    assert picked.corner is None
    assert picked.clicked(70, 20).box == (60, 10, 80, 50)


def test_two_clicks_beside_everybody_draw_a_box():
    first = query().clicked(100, 80)
    assert (first.corner, first.box) == ((100, 80), None)
    second = first.clicked(90, 30)
    assert (second.corner, second.box) == (None, (90, 30, 100, 80))


def test_the_second_corner_may_lie_on_a_person():
    assert query().clicked(5, 5).clicked(30, 30).box == (5, 5, 30, 30)


def test_people_who_are_not_offered_cannot_be_picked():
    first = query().clicked(30, 30, offer=False)
    assert first.corner == (30, 30)
    assert first.clicked(70, 20, offer=False).box == (30, 20, 70, 30)


def test_a_new_first_corner_drops_the_old_box():
    assert query().clicked(30, 30).clicked(100, 80).box is None


@pytest.mark.parametrize(
    ('values', 'box'),
    [
        ((1, 2, 30, 40), (1, 2, 30, 40)),
        ((30, 40, 1, 2), (1, 2, 30, 40)),  # any two opposite corners
        ((-9, 50, 30, 900), (0, 50, 30, 100)),  # cut off at the picture
        ((5.5, 6.25, 11, 12), (5.5, 6.25, 11, 12)),
        ((0, 0, SMALLEST, SMALLEST), (0, 0, SMALLEST, SMALLEST)),
    ],
)
def test_numbers_become_a_box(values, box):
    assert query().with_box(values).box == box


@pytest.mark.parametrize(
    'values',
    [(None, 2, 30, 40), (1, 2, 30), (1, 2, float('nan'), 4), (None,) * 4],
)
def test_a_box_needs_four_numbers(values):
    with pytest.raises(ValueError, match='four numbers'):
        query().with_box(values)


@pytest.mark.parametrize(
    'values',
    [(200, 200, 300, 300), (-20, 5, -1, 50), (10, 10, 13, 90), (7, 7, 7, 7)],
)
def test_a_box_needs_an_area_inside(values):
    with pytest.raises(ValueError, match=r'inside the picture \(120 x 100'):
        query().with_box(values)


def test_two_clicks_on_one_place_are_no_box():
    first = query().clicked(100, 80)
    with pytest.raises(ValueError, match='pick another corner'):
        first.clicked(101, 81)
    assert first.corner == (100, 80)  # still waits
