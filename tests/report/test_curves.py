"""Curves: by hand, and against slow loops and the printed figures."""

import math

import numpy as np
import pytest

from mmps.evaluation.detection import DetectionScore, score_detection
from mmps.evaluation.rankings import search_of_features
from mmps.evaluation.scoring import evaluate
from mmps.report.curves import (
    Steps,
    cumulative_matches,
    detection_curve,
    search_curve,
)
from tests.evaluation.random_sets import random_features


def test_matches_by_hand():
    # found first, third, never, tenth
    got = cumulative_matches([1, 3, 0, 10], 5)
    assert got.tolist() == [0.25, 0.25, 0.5, 0.5, 0.5]
    assert np.isnan(cumulative_matches([], 3)).all()


def test_steps_hold_up_to_their_recall():
    steps = Steps(np.array([0.25, 0.5]), np.array([1.0, 0.4]))
    assert steps.area() == pytest.approx(0.25 * 1 + 0.25 * 0.4)
    got = steps.at(np.array([0.1, 0.25, 0.26, 0.5, 0.51]))
    assert got.tolist() == [1.0, 1.0, 0.4, 0.4, 0.0]


def rankings_of(features, name, duplicates='seqnet'):
    search = search_of_features(features, 0.5, duplicates)
    number = len(features.protocols[name].queries)
    return [search.ranking(name, position) for position in range(number)]


@pytest.mark.parametrize('duplicates', ['seqnet', 'oim', 'unique'])
def test_areas_and_points_are_the_printed_figures(duplicates):
    for seed in range(40):
        features = random_features(seed, ties=seed % 2 == 0)
        result = evaluate(features, duplicates=duplicates)
        for name in features.protocols:
            rankings = rankings_of(features, name, duplicates)
            asked = [ranking for ranking in rankings if ranking.num_gt]
            curve = search_curve(rankings)
            matches = cumulative_matches(
                [ranking.score().rank for ranking in asked], 10
            )
            if not asked:
                assert math.isnan(result[f'{name}/mAP'])
                assert len(curve.recall) == 0
                continue
            mean = result[f'{name}/mAP']
            assert curve.area() == pytest.approx(mean, abs=1e-12)
            for k in (1, 5, 10):
                assert matches[k - 1] == result[f'{name}/top-{k}']
            assert (np.diff(curve.recall) > 0).all()


def slow_precision(ranking, recall):
    """Precision at the first cut that reaches a recall, ties taken whole."""
    for value in sorted(set(ranking.similarity.tolist()), reverse=True):
        taken = ranking.similarity >= value
        hits = np.count_nonzero(taken & ranking.is_right)
        if hits / ranking.num_gt >= recall:
            return hits / np.count_nonzero(taken)
    return 0.0


def test_the_mean_curve_is_that_of_cutting_each_ranking():
    for seed in range(40):
        features = random_features(seed)
        for name in features.protocols:
            asked = [r for r in rankings_of(features, name) if r.num_gt]
            curve = search_curve(asked)
            for recall in (0.05, 1 / 3, 0.5, 2 / 3, 0.9, 1.0):
                if not asked:
                    continue
                slow = np.mean([slow_precision(r, recall) for r in asked])
                (got,) = curve.at(np.array([recall]))
                assert got == pytest.approx(slow, abs=1e-12)


def test_detection_by_hand():
    score = DetectionScore(
        np.array([0.9, 0.8, 0.8, 0.7, 0.6]),
        np.array([True, True, False, False, True]),
        4,
    )
    curve = detection_curve(score)
    assert curve.recall.tolist() == [1 / 4, 2 / 4, 3 / 4]
    assert curve.precision.tolist() == [1, 2 / 3, 3 / 5]


def test_the_area_of_detection_is_its_average_precision():
    for seed in range(80):
        features = random_features(seed)
        boxes = features.detections.above(0.5)
        score = score_detection(boxes, features.ground_truth)
        summary = score.summary()
        curve = detection_curve(score)
        if not summary['gt']:
            assert len(curve.recall) == 0
            continue
        assert curve.area() == pytest.approx(summary['AP'], abs=1e-12)
        last = curve.recall[-1] if len(curve.recall) else 0
        assert last == pytest.approx(summary['recall'])
        for recall, precision in zip(*curve, strict=True):
            cuts = [
                (hits / score.num_gt, hits / total)
                for value in score.scores
                for hits, total in [
                    (
                        np.count_nonzero(
                            score.is_match[score.scores >= value]
                        ),
                        np.count_nonzero(score.scores >= value),
                    )
                ]
            ]
            assert (recall, precision) in cuts
