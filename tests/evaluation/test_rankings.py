"""Rankings of single queries: by hand, and against the score."""

import math

import numpy as np
import pytest

from mmps.evaluation.features import Boxes, Features
from mmps.evaluation.galleries import DUPLICATES, Positives
from mmps.evaluation.pairs import PairFindings, score_pairs
from mmps.evaluation.rankings import rank, search_of_features, search_of_pairs
from mmps.evaluation.scoring import evaluate
from mmps.evaluation.search import SearchScore
from mmps.structures import Gallery, Protocol, Query
from tests.evaluation import reference
from tests.evaluation.random_sets import random_features

PERSON, OTHER = [0.0, 0, 40, 80], [500.0, 0, 540, 80]


def boxes_of(*images):
    """Images of lists of boxes."""
    counts = [len(image) for image in images]
    flat = np.array([box for image in images for box in image], float)
    return Boxes(
        flat.reshape(-1, 4),
        np.ones(len(flat)),
        None,
        np.concatenate([[0], np.cumsum(counts)]),
    )


def ranked(boxes, similarity, images, positives, duplicates='seqnet'):
    gallery = Gallery(
        np.array(images), np.array(positives), np.tile(PERSON, (2, 1))
    )
    protocol = Protocol(np.array([0]), (gallery,))
    values = np.array(similarity, float)
    return rank(boxes, values, 'P', protocol, 0, duplicates)


def test_what_was_missed_is_known_with_its_place():
    # image 0: a wrong and the right box; 1: nothing on the person; 2: wrong
    boxes = boxes_of([OTHER, PERSON], [OTHER], [OTHER])
    found = ranked(boxes, [0.9, 0.3, 0.8, 0.3], [0, 1, 2], [0, 1])
    assert found.rows.tolist() == [0, 2, 3, 1]  # wrong first among equals
    assert found.is_right.tolist() == [False, False, False, True]
    assert found.places.tolist() == [4, 0]
    assert found.images.tolist() == [0, 1]
    assert found.missed(3).tolist() == [0, 1]
    assert found.missed(4).tolist() == [1]
    score = found.score()
    assert (score.num_gt, score.num_found, score.rank) == (2, 1, 4)
    assert score.average_precision == pytest.approx(1 / 4 / 2)


def test_those_found_later_come_first_among_the_missed():
    boxes = boxes_of([OTHER], [PERSON], [PERSON])
    gallery = Gallery(
        np.arange(3), np.array([0, 1, 2]), np.tile(PERSON, (3, 1))
    )
    protocol = Protocol(np.array([0]), (gallery,))
    found = rank(boxes, np.array([0.9, 0.1, 0.2]), 'P', protocol, 0)
    assert found.missed(1).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ('duplicates', 'places', 'num_gt'),
    [('seqnet', [1], 2), ('unique', [1], 1), ('oim', [1, 2], 2)],
)
def test_an_image_that_is_listed_twice(duplicates, places, num_gt):
    boxes = boxes_of([PERSON], [OTHER])
    found = ranked(boxes, [0.9, 0.5], [0, 0, 1], [0, 0], duplicates)
    assert found.places.tolist() == places
    assert found.num_gt == num_gt
    assert np.count_nonzero(found.is_right) == len(places)


def test_the_first_of_equals_on_a_person_wins():
    boxes = boxes_of([OTHER, PERSON, PERSON, PERSON])
    found = ranked(boxes, [0.1, 0.2, 0.7, 0.7], [0, 0], [0, 0], 'unique')
    assert found.rows[found.is_right].tolist() == [2]


def test_winners_have_the_similarity_that_is_scored():
    for seed in range(60):
        features = random_features(seed)
        boxes = features.detections
        similarity = np.random.default_rng(seed).integers(3, size=len(boxes))
        for name, protocol in features.protocols.items():
            for duplicates in DUPLICATES:
                part = Positives.find(name, boxes, protocol, duplicates)
                for position in range(len(protocol.queries)):
                    rows, entries = part.winners(position, similarity)
                    np.testing.assert_array_equal(
                        similarity[rows], part.matched(position, similarity)
                    )
                    assert (boxes.image[rows] == part.images[entries]).all()


def scored(search, name):
    """The summary of a protocol, from its rankings."""
    number = len(search.protocols[name].queries)
    scores = [search.ranking(name, i).score() for i in range(number)]
    columns = np.array(scores, float).reshape(-1, 4).T
    return SearchScore(*columns).summary()


@pytest.mark.parametrize('duplicates', DUPLICATES)
def test_rankings_yield_the_score(duplicates):
    """90 random sets with ties, repeats and empty images."""
    for seed in range(30):
        features = random_features(seed)
        search = search_of_features(features, 0.6, duplicates)
        how = {'duplicates': duplicates, 'det_thr': 0.6}
        slow = reference.evaluate(features, {}, **how)
        fast = evaluate(features, **how)
        for name in features.protocols:
            for key, value in scored(search, name).items():
                known = fast[f'{name}/{key}']
                assert value == known or math.isnan(value) == math.isnan(known)
                assert value == pytest.approx(
                    slow.get(f'{name}/{key}', value), abs=1e-9, nan_ok=True
                )


def test_entries_are_found_where_they_are():
    """Every place holds a detection of the entry's image, on the person."""
    for seed in range(40):
        features = random_features(seed)
        for duplicates in DUPLICATES:
            search = search_of_features(features, 0.5, duplicates)
            for name, protocol in features.protocols.items():
                for position in range(len(protocol.queries)):
                    found = search.ranking(name, position)
                    at = found.places[found.places > 0]
                    assert sorted(at) == sorted(
                        np.flatnonzero(found.is_right) + 1
                    )
                    for entry in np.flatnonzero(found.places):
                        row = found.rows[found.places[entry] - 1]
                        image = found.boxes.image[row]
                        assert image == found.images[entry]
                        box = found.boxes.bboxes[row]
                        assert reference.iou(box, found.bboxes[entry]) > 0


def test_queries_are_ordered_by_success():
    for seed in range(30):
        features = random_features(seed)
        search = search_of_features(features)
        for name in features.protocols:
            lines = search.worst_first(name)
            aps = [line.score.average_precision for line in lines]
            assert aps == sorted(aps)
            mean = evaluate(features)[f'{name}/mAP']
            if lines:
                assert np.mean(aps) == pytest.approx(mean)
            else:
                assert math.isnan(mean)


def findings(similarity):
    return PairFindings(
        np.array([2, 0]),
        np.array([1, 2]),
        np.array([PERSON, OTHER, PERSON]),
        np.full(3, 0.9),
        np.array(similarity),
    )


def test_pairs_are_ranked_by_their_own_boxes():
    gallery = Gallery(np.array([0, 2]), np.array([0]), np.array([PERSON]))
    protocols = {'P': Protocol(np.array([4, 1]), (gallery, gallery))}
    queries = [Query(1, np.array(PERSON), f'p{i}') for i in range(5)]
    # query 4 was not run; behind the cascade, similarities are below -1
    search = search_of_pairs(
        {1: findings([0.5, -2.5, 0.25])}, list('abc'), queries, protocols
    )
    assert search.protocols['P'].queries.tolist() == [1]
    found = search.ranking('P', 0)
    assert found.similarity.tolist() == [0.5, 0.25, -2.5]
    assert found.boxes.image[found.rows].tolist() == [2, 0, 0]
    assert found.places.tolist() == [2]
    score = score_pairs({1: findings([0.5, -2.5, 0.25])}, search.protocols, 3)
    assert scored(search, 'P') == score['P'].summary()


def test_a_detector_that_finds_nothing_ranks_nothing():
    empty = boxes_of([], [])
    one = Boxes(empty.bboxes, empty.scores, np.zeros((0, 2)), empty.offsets)
    gallery = Gallery(np.array([1]), np.array([1]), np.array([PERSON]))
    features = Features(
        ['a', 'b'],
        one,
        empty,
        np.zeros(0, int),
        (Query(0, np.array(PERSON), 'p'),),
        np.array([[1.0, 0]]),
        {'P': Protocol(np.array([0]), (gallery,))},
    )
    found = search_of_features(features).ranking('P', 0)
    assert len(found.rows) == 0
    assert found.missed(5).tolist() == [0]
    assert found.score() == (0.0, 0, 1, 0)
