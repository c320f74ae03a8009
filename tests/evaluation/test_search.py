"""Search scores: by hand, and against the slow reference."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from mmps.evaluation import search
from mmps.evaluation.features import Boxes
from mmps.evaluation.galleries import DUPLICATES, box_threshold
from mmps.evaluation.scoring import evaluate
from mmps.evaluation.search import (
    average_precision,
    detected_queries,
    on_grid,
    score_query,
    score_search,
)
from mmps.structures import Gallery, Protocol, Query
from tests.evaluation import reference
from tests.evaluation.random_sets import random_features, unit

OPTIONS = (
    {},
    {'cws': True},
    {'gt_boxes': True},
    {'detected_query': True},
    {'cbgm': {'k1': 2, 'k2': 3}},
    {'cbgm': {'k1': 2, 'k2': 2, 'variant': 'sum'}},
)


def assert_same(got: dict, expected: dict) -> None:
    for key, value in expected.items():
        assert got[key] == pytest.approx(value, abs=1e-9, nan_ok=True), key


@pytest.mark.parametrize(
    'block',
    [
        *range(3),
        *(pytest.param(n, marks=pytest.mark.long) for n in range(3, 8)),
    ],
)
def test_equals_the_protocol_in_plain_loops(block):
    """30 random sets, each with every option, duplicates taking turns."""
    for seed in range(30 * block, 30 * block + 30):
        duplicates = DUPLICATES[seed % 3]
        for option in OPTIONS:
            # matchings of equal total differ, so CBGM gets no ties
            features = random_features(seed, ties='cbgm' not in option)
            how = {'duplicates': duplicates, 'det_thr': (0.5, 0.6)[seed % 2]}
            got = evaluate(features, **option, **how)
            assert_same(got, reference.evaluate(features, option, **how))


# One image per detection, all people 40 x 80, similarities as given.
PERSON = np.array([0, 0, 40, 80.0])
AWAY = PERSON + 500


def unit_at(similarity: float) -> np.ndarray:
    return np.array([similarity, math.sqrt(1 - similarity**2)], np.float32)


def boxes_of(images: list[list[tuple]]) -> Boxes:
    """Images of (box, similarity to the query [1, 0])."""
    flat = [pair for image in images for pair in image]
    counts = [len(image) for image in images]
    return Boxes(
        np.array([box for box, _ in flat], np.float32).reshape(-1, 4),
        np.ones(len(flat), np.float32),
        np.array([unit_at(s) for _, s in flat], np.float32).reshape(-1, 2),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )


def one_query(images, positives, listed=None, person=PERSON, **how) -> dict:
    boxes = boxes_of(images)
    listed = range(boxes.num_images) if listed is None else listed
    gallery = Gallery(
        np.array(listed, np.int32),
        np.array(positives, np.int32),
        np.tile(person, (len(positives), 1)),
    )
    protocols = {'p': Protocol(np.array([0]), (gallery,))}
    query = np.array([[1, 0]], np.float32)
    return score_search(boxes, query, protocols, **how)['p'].summary()


@pytest.mark.parametrize(
    ('similarity', 'is_match', 'num_gt', 'ap'),
    [
        ([0.9, 0.8, 0.7], [1, 0, 0], 1, 1.0),  # found first
        ([0.9, 0.8, 0.7], [0, 1, 0], 1, 1 / 2),  # found second
        ([0.9, 0.8, 0.7], [1, 0, 0], 2, 1 / 2),  # one of two missed
        ([0.9, 0.8, 0.7], [1, 0, 1], 2, (1 + 2 / 3) / 2),
        ([0.8, 0.8, 0.7], [1, 0, 0], 1, 1 / 2),  # a tie counts against us
        ([0.8, 0.8, 0.7], [1, 1, 0], 2, 1.0),  # but not a tie of matches
        ([0.9, 0.8], [0, 0], 1, 0.0),  # never found
        ([-0.9, -0.8], [1, 0], 1, 1 / 2),
        ([], [], 1, 0.0),  # no detection anywhere
    ],
)
def test_average_precision_by_hand(similarity, is_match, num_gt, ap):
    values, hit = np.array(similarity), np.array(is_match, bool)
    assert average_precision(values, values[hit], num_gt) == pytest.approx(ap)
    result = score_query(values, values[hit], num_gt)
    assert result.average_precision == pytest.approx(ap)


def test_average_precision_is_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(100):
        values = rng.integers(-3, 4, size=rng.integers(1, 30)) / 3
        hit = rng.random(len(values)) < 0.4
        hit[rng.integers(len(values))] = True
        expected = average_precision_score(hit, values)
        got = average_precision(values, values[hit], int(hit.sum()))
        assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ('similarity', 'is_match', 'rank'),
    [
        ([0.9, 0.8, 0.7], [0, 1, 1], 2),
        ([0.9, 0.8, 0.8], [0, 1, 0], 3),  # the negative may come first
        ([0.9, 0.8, 0.8], [0, 1, 1], 2),  # one of the two surely is second
        ([0.9, 0.8], [0, 0], 0),
    ],
)
def test_rank_holds_in_every_order_of_ties(similarity, is_match, rank):
    values, hit = np.array(similarity), np.array(is_match, bool)
    assert score_query(values, values[hit], 2).rank == rank
    order = np.random.default_rng(1).permutation(len(values))
    assert score_query(values[order], values[hit], 2).rank == rank


def test_the_most_similar_overlapping_box_is_the_only_match():
    near = PERSON + [2, 0, 2, 0]
    # the better overlap is less similar: a negative, ranked second
    result = one_query([[(PERSON, 0.5), (near, 0.9)], [(AWAY, 0.3)]], [0])
    assert result['mAP'] == 1
    # a stranger more similar than both
    result = one_query([[(PERSON, 0.5), (near, 0.6), (AWAY, 0.9)]], [0])
    assert result['mAP'] == 1 / 2
    assert result['found'] == 1
    assert result['top-1'] == 0
    assert result['top-5'] == 1


def test_image_without_detections_counts_its_person():
    result = one_query([[(PERSON, 0.9)], []], [0, 1])
    assert (result['gt'], result['found'], result['mAP']) == (2, 1, 0.5)


def test_person_that_is_not_overlapped_is_missed():
    result = one_query([[(AWAY, 0.9)]], [0])
    assert (result['gt'], result['found'], result['mAP']) == (1, 0, 0)
    assert result['top-10'] == 0


@pytest.mark.parametrize(
    ('width', 'height', 'threshold'),
    [(10, 10, 100 / 400), (20, 40, 800 / 1500), (100, 200, 0.5)],
)
def test_small_people_need_less_overlap(width, height, threshold):
    box = np.array([[5, 7, 5 + width, 7 + height]], float)
    assert box_threshold(box) == pytest.approx(min(threshold, 0.5))


def test_overlap_at_the_threshold_matches():
    half = PERSON * [1, 1, 1, 0.5]  # IoU exactly 0.5
    assert one_query([[(half, 0.9)]], [0])['found'] == 1
    less = PERSON * [1, 1, 1, 0.49]
    assert one_query([[(less, 0.9)]], [0])['found'] == 0
    small = np.array([0, 0, 10, 10.0])  # needs 0.25
    quarter = small * [1, 1, 0.5, 0.5]
    assert one_query([[(quarter, 0.9)]], [0], person=small)['found'] == 1


@pytest.mark.parametrize(
    ('duplicates', 'gt', 'found', 'ap', 'top_1'),
    [
        # image 0 (the person, similarity 0.8) is listed twice, once stands a
        # stranger (0.9) before it
        ('seqnet', 2, 1, 1 / 2 * 1 / 2, 0),
        ('oim', 2, 2, 2 / 3, 0),
        ('unique', 1, 1, 1 / 2, 0),
    ],
)
def test_image_listed_twice(duplicates, gt, found, ap, top_1):
    result = one_query(
        [[(PERSON, 0.8)], [(AWAY, 0.9)]],
        positives=[0, 0],
        listed=[0, 1, 0],
        duplicates=duplicates,
    )
    assert (result['gt'], result['found']) == (gt, found)
    assert result['mAP'] == pytest.approx(ap)
    assert result['top-1'] == top_1


def test_negatives_listed_twice_count_twice_for_oim_alone():
    for duplicates, ap in (('seqnet', 1 / 2), ('oim', 1 / 3)):
        result = one_query(
            [[(PERSON, 0.8)], [(AWAY, 0.9)]],
            positives=[0],
            listed=[0, 1, 1],
            duplicates=duplicates,
        )
        assert result['mAP'] == pytest.approx(ap)


def test_first_listing_gives_the_box_unless_both_count():
    boxes = boxes_of([[(PERSON, 0.8), (AWAY, 0.9)]])
    gallery = Gallery(
        np.array([0, 0]), np.array([0, 0]), np.stack([PERSON, AWAY])
    )
    protocols = {'p': Protocol(np.array([0]), (gallery,))}
    query = np.array([[1, 0]], np.float32)
    found = {
        mode: score_search(boxes, query, protocols, duplicates=mode)['p']
        for mode in DUPLICATES
    }
    assert found['seqnet'].rank == 2
    assert found['oim'].num_found == 2
    assert found['oim'].rank == 2  # AWAY twice, once as a negative


def test_complement_is_all_but_the_images_named():
    boxes = boxes_of([[(PERSON, 1.0)], [(AWAY, 0.9)], [(PERSON, 0.8)]])
    gallery = Gallery(np.array([0]), np.array([2]), PERSON[None], True)
    protocols = {'p': Protocol(np.array([0]), (gallery,))}
    score = score_search(boxes, np.array([[1, 0]], np.float32), protocols)
    assert score['p'].rank == 2


def test_query_without_positives_is_reported_and_not_averaged():
    boxes = boxes_of([[(PERSON, 0.8)], [(AWAY, 0.9)]])
    with_one = Gallery(np.array([0, 1]), np.array([0]), PERSON[None])
    without = Gallery(np.array([0, 1]), np.array([], int), np.zeros((0, 4)))
    protocols = {'p': Protocol(np.array([0, 0]), (with_one, without))}
    query = np.array([[1, 0]], np.float32)
    result = score_search(boxes, query, protocols)['p'].summary()
    assert result['mAP'] == 1 / 2
    assert result['top-5'] == 1
    assert (result['queries'], result['skipped'], result['gt']) == (2, 1, 1)
    protocols = {'p': Protocol(np.array([0]), (without,))}
    result = score_search(boxes, query, protocols)['p'].summary()
    assert math.isnan(result['mAP'])
    assert math.isnan(result['top-1'])
    assert (result['queries'], result['skipped']) == (1, 1)


def test_protocol_without_queries():
    boxes = boxes_of([[(PERSON, 0.8)]])
    protocols = {'p': Protocol(np.array([], np.int64), ())}
    query = np.array([[1, 0]], np.float32)
    result = score_search(boxes, query, protocols)['p'].summary()
    assert result['queries'] == 0
    assert math.isnan(result['mAP'])


def test_confidence_multiplies_similarity():
    boxes = boxes_of([[(PERSON, 0.8)], [(AWAY, 0.9)]])
    boxes = Boxes(
        boxes.bboxes, np.float32([1, 0.5]), boxes.embeddings, boxes.offsets
    )
    gallery = Gallery(np.array([0, 1]), np.array([0]), PERSON[None])
    protocols = {'p': Protocol(np.array([0]), (gallery,))}
    query = np.array([[1, 0]], np.float32)
    assert score_search(boxes, query, protocols)['p'].rank == 2
    assert score_search(boxes, query, protocols, cws=True)['p'].rank == 1


# --- similarities


def test_similarity_is_the_exact_product_of_rounded_embeddings():
    rng = np.random.default_rng(0)
    left = unit(rng.normal(size=(5, 256)))
    right = unit(rng.normal(size=(50, 256)))
    got = on_grid(left) @ on_grid(right).T
    assert got.tolist() == [reference.exact_dot(right, x) for x in left]
    # rounding to 2**-26 moves a similarity less than float32 does
    exact = left.astype(np.float64) @ right.astype(np.float64).T
    assert np.abs(got - exact).max() < 2e-8


def test_equal_embeddings_tie_exactly_wherever_they_stand():
    rng = np.random.default_rng(1)
    one = unit(rng.normal(size=256))
    others = unit(rng.normal(size=(997, 256)))
    where = [0, 1, 63, 500, 996]
    others[where] = one
    queries = on_grid(unit(rng.normal(size=(37, 256))))
    similarity = queries @ on_grid(others).T
    assert all(len(set(row[where])) == 1 for row in similarity)
    for size in (1, 2, 7, 36):  # other blocks, other kernels
        part = queries[:size] @ on_grid(others[500:]).T
        assert np.array_equal(part, similarity[:size, 500:])
    order = rng.permutation(256)  # another order of summation
    shuffled = queries[:, order] @ on_grid(others)[:, order].T
    assert np.array_equal(shuffled, similarity)


def test_block_size_changes_nothing(monkeypatch):
    features = random_features(11)
    expected = evaluate(features, cws=True)
    for block in (1, 2, 3):
        monkeypatch.setattr(search, 'BLOCK', block)
        assert_same(evaluate(features, cws=True), expected)


# --- queries from detections


def test_detected_query_is_the_best_overlapping_detection():
    boxes = boxes_of(
        [
            [(PERSON + [10, 0, 10, 0], 0.1), (PERSON + [1, 0, 1, 0], 0.2)],
            [(AWAY, 0.3)],
            [],
        ]
    )
    queries = tuple(Query(i, PERSON, 'p') for i in range(3))
    given = np.tile(unit_at(1), (3, 1))
    chosen, kept = detected_queries(boxes, queries, given)
    assert kept.tolist() == [False, True, True]
    assert np.array_equal(chosen[0], unit_at(0.2))
    assert np.array_equal(chosen[1:], given[1:])


# --- what does not fit


@pytest.mark.parametrize(
    ('listed', 'positives', 'message'),
    [
        ([1], [0], 'image 0 is 1 times a positive but 0 times in the'),
        ([0], [0, 1], 'image 1 is 1 times a positive but 0 times'),
        ([0, 1], [0, 0], '2 times a positive but 1 times'),
        ([0, 7], [0], 'image 7 of 2 images'),
        ([0, 1], [0, 2], 'positives in image 0 to 2, but there are 2'),
        ([0, 1], [-1, 0], 'positives in image -1 to 0'),
    ],
)
def test_gallery_that_does_not_fit_is_refused(listed, positives, message):
    with pytest.raises(ValueError, match=message):
        one_query([[(PERSON, 0.8)], [(AWAY, 0.9)]], positives, listed)


def test_positive_without_an_area_is_refused():
    with pytest.raises(ValueError, match='1 without area'):
        one_query([[(PERSON, 0.8)]], [0], person=np.array([5, 5, 5, 9.0]))
