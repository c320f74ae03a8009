import math

import numpy as np
import pytest

from mmps.datasets.errors import DatasetError
from mmps.datasets.records import ImageRecord, SplitRecords
from mmps.own_data.advice import (
    FULL,
    NARROW,
    Measures,
    choose_anchors,
    choose_epochs,
    choose_queue,
    choose_scale,
    coverage,
    has_both_orientations,
    measure,
    shapes,
)

from .sources import save_picture

USUAL = shapes([2, 4, 8, 16, 32], [0.5, 1.0, 2.0])


def measures(boxes, size=(1920, 1080), **changes):
    known = dict(
        pictures=100,
        identities=9,
        labelled=80,
        unlabelled=20,
        sizes=np.array([size]),
        boxes=np.array(boxes, dtype=float),
        picture_of=np.zeros(len(boxes), dtype=int),
    )
    return Measures(**{**known, **changes})


def test_what_is_measured(tmp_path):
    def image(name, bboxes, identities, **size):
        path = save_picture(tmp_path / name, **size)
        bboxes = np.array(bboxes, dtype=float).reshape(-1, 4)
        return ImageRecord(name, str(path), bboxes, identities)

    train = SplitRecords(
        [
            # the second reaches beyond the picture
            image('1.png', [[0, 0, 10, 30], [50, -9, 70, 25]], ('a', None)),
            image('2.png', [], ()),
            image('3.png', [[0, 0, 20, 40]], ('b',), width=30, height=80),
        ],
        ['a', 'b'],
    )
    found = measure(train)
    assert (found.pictures, found.identities) == (2, 2)
    assert (found.labelled, found.unlabelled) == (2, 1)
    assert found.sizes.tolist() == [[60, 40], [30, 80]]
    # 60 x 40 fits 120 x 80 twice, 30 x 80 once and a half
    assert found.boxes_at((120, 80)).tolist() == [[20, 60], [20, 50], [30, 60]]
    standing = has_both_orientations(found)
    assert standing.value
    assert '50% of the pictures stand' in standing.reason
    with pytest.raises(DatasetError, match='shows nobody'):
        measure(SplitRecords([train.images[1]], []))


@pytest.mark.parametrize(
    ('unlabelled', 'slots'), [(40187, 5000), (3141, 392), (8, 8), (0, 0)]
)
def test_a_queue_is_an_eighth_of_those_without_identity(unlabelled, slots):
    queue = choose_queue(measures([[9, 9]], unlabelled=unlabelled))
    assert queue.value == pytest.approx(slots, rel=0.01)
    assert str(unlabelled) in queue.reason


@pytest.mark.parametrize(
    ('size', 'height', 'scale'),
    [
        ((1920, 1080), 300, (1500, 844)),  # reduced to the limit
        ((1080, 1920), 300, (1500, 844)),  # standing
        ((640, 480), 100, (640, 480)),  # as it is
        ((640, 480), 40, (768, 576)),  # 40 -> 48 pixels
        ((640, 480), 10, (1200, 900)),  # the limit, not 4.8 times
        ((100, 80), 10, (200, 160)),  # twice, not 4.8 times
    ],
)
def test_the_scale_makes_people_large_enough(size, height, scale):
    known = measures([[height / 2, height]], size)
    assert choose_scale(known, (1500, 900)).value == scale


def test_coverage_against_a_slow_loop():
    rng = np.random.default_rng(0)
    boxes, anchors = rng.uniform(5, 80, (50, 2)), rng.uniform(5, 80, (7, 2))
    hits = 0
    for w, h in boxes:
        best = 0
        for a, b in anchors:
            common = min(w, a) * min(h, b)
            best = max(best, common / (w * h + a * b - common))
        hits += best >= 0.7
    assert 0 < hits < 50
    assert coverage(boxes, anchors) == hits / 50


def test_an_anchor_has_its_area_and_shape():
    ((w, h),) = shapes([2.5], [1.6])
    assert (w * h, h / w) == pytest.approx((40**2, 1.6))


def test_people_of_one_shape_need_one_ratio():
    heights = np.geomspace(40, 300, 80)
    boxes = np.stack([heights / 2.5, heights], axis=1)
    (scales, ratios), reason = vars(choose_anchors(boxes, USUAL)).values()
    assert ratios == [2.5]
    assert 5 <= len(scales) <= 7
    assert coverage(boxes, shapes(scales, ratios)) > 0.9
    assert f'{coverage(boxes, USUAL):.0%} with those of the base' in reason


def test_people_of_many_shapes_need_three():
    rng = np.random.default_rng(0)
    heights, ratios = rng.uniform(40, 300, 400), rng.uniform(0.8, 4, 400)
    boxes = np.stack([heights / ratios, heights], axis=1)
    scales, chosen = choose_anchors(boxes, USUAL).value
    assert len(chosen) == 3
    assert len(scales) > 1
    assert coverage(boxes, shapes(scales, chosen)) > coverage(
        boxes, shapes(scales, chosen[1:2])
    )


def test_boxes_of_one_size_need_one_anchor():
    boxes = np.full((5, 2), [20.0, 50.0])
    scales, ratios = choose_anchors(boxes, USUAL).value
    assert shapes(scales, ratios) == [pytest.approx((20, 50), rel=0.01)]


def test_a_recipe_gives_its_own_epochs_back():
    assert choose_epochs(5704, FULL, False).value == 18  # PRW
    assert choose_epochs(800, NARROW, False).value == 8
    assert choose_epochs(400, NARROW, False).value == 16
    assert choose_epochs(400, NARROW, True).value == 8
    few, many = (choose_epochs(n, FULL, False).value for n in (10, 10**6))
    assert (few, many) == (100, 2)
    steps = 18 * math.ceil(5704 / 5)
    assert f'{steps} steps in all' in choose_epochs(5704, FULL, False).reason
