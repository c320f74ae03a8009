"""Rows of a result: which there are, and what the options leave alone."""

import dataclasses

import numpy as np
import pytest

from mmps.evaluation.scoring import evaluate
from tests.evaluation.random_sets import random_features

EVERYTHING = {
    'cws': True,
    'gt_boxes': True,
    'cbgm': {'k1': 2, 'k2': 2},
    'detected_query': True,
}
FIGURES = {'mAP', 'top-1', 'top-5', 'top-10'}
COUNTS = {'queries', 'gt', 'found', 'skipped'}
DETECTION = {
    *('AP', 'recall', 'gt', 'found', 'boxes'),
    *('recall-labelled', 'gt-labelled', 'found-labelled'),
}


def test_rows_and_figures_bear_the_names_of_the_design():
    result = evaluate(random_features(0), **EVERYTHING)
    rows = {}
    for key in result:
        row, figure = key.split('/')
        rows.setdefault(row, set()).add(figure)
    assert rows.pop('det') == DETECTION
    suffixes = ('', '+cws', '+gt-boxes', '+cbgm', '+detected-query')
    assert set(rows) == {p + s for p in ('first', 'second') for s in suffixes}
    for row, figures in rows.items():
        extra = {'fallbacks'} if row.endswith('query') else set()
        assert figures == FIGURES | COUNTS | extra
    kinds = {key: type(value) for key, value in result.items()}
    ratios = FIGURES | {'AP', 'recall', 'recall-labelled'}
    for key, kind in kinds.items():
        assert kind is (float if key.split('/')[1] in ratios else int)


def test_defaults_are_the_standard_rows_at_half():
    features = random_features(0)
    result = evaluate(features)
    rows = {key.split('/')[0] for key in result}
    assert rows == {'det', 'first', 'second'}
    scores = features.detections.scores
    assert result['det/boxes'] == (scores >= 0.5).sum() < len(scores)


def test_one_detection_and_the_query_are_enough_for_cbgm():
    result = evaluate(random_features(0), cbgm={'k1': 1, 'k2': 1})
    assert 'first+cbgm/mAP' in result


def test_options_leave_the_standard_rows_alone():
    features = random_features(1)
    alone = evaluate(features)
    together = evaluate(features, **EVERYTHING)
    assert repr({key: together[key] for key in alone}) == repr(alone)
    for name, value in EVERYTHING.items():
        single = evaluate(features, **{name: value})
        assert repr({key: together[key] for key in single}) == repr(single)


def test_protocols_are_chosen_by_name():
    features = random_features(2)
    every = evaluate(features)
    one = evaluate(features, protocols=['second'])
    assert one.keys() == {k for k in every if not k.startswith('first')}
    assert repr({key: every[key] for key in one}) == repr(one)
    none = evaluate(features, protocols=[])
    assert {key.split('/')[0] for key in none} == {'det'}


def test_score_cut_is_inclusive():
    features = random_features(3)
    scores = features.detections.scores
    for threshold in (0.0, 0.5, 0.7, 1.0):
        result = evaluate(features, det_thr=threshold)
        assert result['det/boxes'] == (scores >= threshold).sum()


def test_fallbacks_are_counted_over_the_queries_of_the_protocol():
    features = random_features(4)
    nothing = dataclasses.replace(
        features.detections, scores=np.zeros(len(features.detections))
    )
    features = dataclasses.replace(features, detections=nothing)
    result = evaluate(features, detected_query=True)
    for name in ('first', 'second'):
        row = f'{name}+detected-query'
        assert result[f'{row}/fallbacks'] == result[f'{row}/queries']


@pytest.mark.parametrize(
    ('option', 'error', 'message'),
    [
        ({'det_thr': 1.5}, ValueError, r'det_thr must be in \[0, 1\]'),
        ({'protocols': 'G50'}, TypeError, r"must be a list: \['G50'\]"),
        ({'protocols': ['G50']}, ValueError, 'it has: first, second'),
        ({'duplicates': 'both'}, ValueError, "got 'both'"),
        ({'cbgm': {'k1': 3}}, ValueError, r'dict\(k1=, k2=\)'),
        ({'cbgm': {'k1': 3, 'k2': 0}}, ValueError, 'k2 must be an int >= 1'),
        (
            {'cbgm': {'k1': 3, 'k2': 2, 'variant': 'mean'}},
            ValueError,
            r"one of \('published', 'sum'\), got 'mean'",
        ),
        ({'cbgm': {'k1': True, 'k2': 1}}, ValueError, 'k1 must be an int'),
    ],
)
def test_options_that_make_no_sense_are_refused(option, error, message):
    with pytest.raises(error, match=message):
        evaluate(random_features(5), **option)


def test_gt_boxes_need_their_embeddings():
    features = random_features(6)
    bare = dataclasses.replace(features.ground_truth, embeddings=None)
    features = dataclasses.replace(features, ground_truth=bare)
    evaluate(features)
    with pytest.raises(ValueError, match=r'gt_instances\.embeddings'):
        evaluate(features, gt_boxes=True)
