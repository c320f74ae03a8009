import numpy as np
import pytest

from mmps.demo.drawing import (
    LONGEST,
    OFFERED,
    PICKED,
    drawn_person,
    drawn_query,
    drawn_scene,
    shown_scale,
)
from mmps.demo.picking import Query

GREY = np.full((60, 120, 3), 90, np.uint8)
PEOPLE = np.array([[10.0, 10, 30, 50], [80, 20, 100, 50]])


def has(picture, colour, box):
    """Whether a colour, blue green red, lies on the frame of a box."""
    x1, y1, x2, y2 = (round(v * shown_scale(GREY)) for v in box)
    return all(
        (picture[y, x] == colour[::-1]).all()
        for x, y in (
            *((x, y) for x in (x1, x2) for y in range(y1 + 9, y2 - 9)),
            *((x, y) for y in (y1, y2) for x in range(x1 + 9, x2 - 9)),
        )
    )


@pytest.mark.parametrize('shape', [(60, 120), (120, 60), (3000, 4000), (1, 1)])
def test_the_longer_side_is_always_the_same(shape):
    query = Query(np.zeros((*shape, 3), np.uint8), np.zeros((0, 4)), '')
    shown = drawn_query(query, True)
    assert max(shown.shape[:2]) == LONGEST
    assert shown.shape[0] == max(
        1, round(shape[0] * shown_scale(query.picture))
    )
    assert drawn_scene(query.picture, (0, 0, 1, 1), False).shape == shown.shape


def test_people_are_framed_where_they_can_be_clicked_on():
    query = Query(GREY, PEOPLE, '')
    assert all(has(drawn_query(query, True), OFFERED, box) for box in PEOPLE)
    assert (drawn_query(query, False) == 90).all()


def test_the_picked_box_and_the_first_corner_are_drawn():
    query = Query(GREY, PEOPLE, '')
    box = (40, 10, 70, 50)
    assert has(drawn_query(query.with_box(box), True), PICKED, box)
    corner = drawn_query(query.clicked(60, 30), False)
    assert (corner[240, 480] == PICKED[::-1]).all()
    assert (corner[300:] == 90).all()


def test_colours_are_turned_round():
    blue = np.zeros((60, 120, 3), np.uint8)
    blue[..., 0] = 255
    for drawn in (
        drawn_query(Query(blue, np.zeros((0, 4)), ''), True),
        drawn_scene(blue, (0, 0, 9, 9), False)[200:, 200:],
        drawn_person(blue, (40, 10, 60, 50), False)[20:-20, 20:-20],
    ):
        assert (drawn == (0, 0, 255)).all()


def test_blur_leaves_only_the_match_sharp():
    noise = np.random.default_rng(0).integers(0, 256, (120, 240, 3), np.uint8)
    box = (60, 20, 120, 100)
    sharp, blurred = (drawn_scene(noise, box, blur) for blur in (False, True))
    scale = shown_scale(noise)
    x1, y1, x2, y2 = (round(v * scale) for v in box)
    inside = np.s_[y1 + 12 : y2 - 12, x1 + 12 : x2 - 12]
    assert (sharp[inside] == blurred[inside]).all()
    right = np.s_[:, x2 + 40 :]
    assert blurred[right].std() < sharp[right].std() / 4
    people = [drawn_person(noise, box, blur) for blur in (False, True)]
    assert (people[0] != people[1]).any()
