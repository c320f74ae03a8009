"""Detection scores: by hand, and against plain loops."""

import math

import numpy as np
import pytest

from mmps.evaluation.detection import match, score_detection, score_labelled
from tests.evaluation import reference
from tests.evaluation.random_sets import random_features, stack


@pytest.mark.parametrize(
    ('overlap', 'expected'),
    [
        ([[0.5]], [1]),
        ([[0.49]], [0]),
        ([[0.6, 0.8]], [0, 1]),  # a second box on a person is wrong
        ([[0.6], [0.8]], [1]),  # one box cannot be two people
        ([[0.7, 0.7]], [1, 0]),  # the first of equals
        # the second detection prefers the first box and loses it; it does
        # not fall back to the second box, which it overlaps enough
        ([[0.9, 0.8], [0.1, 0.7]], [1, 0]),
        (np.zeros((0, 2)), [0, 0]),
        (np.zeros((2, 0)), []),
    ],
)
def test_mutual_best_match(overlap, expected):
    assert match(np.array(overlap)).tolist() == [bool(x) for x in expected]


def test_equals_plain_loops():
    for seed in range(250):
        features = random_features(seed)
        boxes, people = features.detections.above(0.5), features.ground_truth
        got = score_detection(boxes, people).summary()
        got |= score_labelled(boxes, people, features.gt_ids >= 0)
        for key, value in reference.score_detection(features).items():
            assert got[key] == pytest.approx(value, abs=1e-9, nan_ok=True)


def empty(num: int) -> tuple:
    return np.zeros((num, 4)), np.ones(num, np.float32), np.zeros((num, 2))


def test_people_in_images_without_detections_count():
    box = np.array([[0, 0, 10, 10.0]])
    truth = stack([(box, *empty(1)[1:]), (box, *empty(1)[1:])])
    found = stack([(box, *empty(1)[1:]), empty(0)])
    result = score_detection(found, truth).summary()
    assert result == {
        'AP': 0.5,
        'recall': 0.5,
        'gt': 2,
        'found': 1,
        'boxes': 1,
    }


def test_nothing_to_find_has_no_ratio():
    result = score_detection(stack([empty(0)]), stack([empty(0)])).summary()
    assert math.isnan(result['AP'])
    assert math.isnan(result['recall'])
    assert (result['gt'], result['found'], result['boxes']) == (0, 0, 0)


def test_labelled_people_are_matched_as_if_alone():
    # the detection lies better on somebody unlabelled than on the labelled
    people = np.array([[0, 0, 10, 10.0], [0, 0, 10, 12.0]])
    truth = stack([(people, *empty(2)[1:]), empty(0)])
    found = stack([(people[:1], *empty(1)[1:]), empty(0)])
    labelled = np.array([False, True])
    assert score_detection(found, truth).summary()['found'] == 1
    assert score_labelled(found, truth, labelled) == {
        'recall-labelled': 1.0,
        'gt-labelled': 1,
        'found-labelled': 1,
    }
    nobody = score_labelled(found, truth, labelled & False)
    assert math.isnan(nobody.pop('recall-labelled'))
    assert nobody == {'gt-labelled': 0, 'found-labelled': 0}
