"""The similarity of a match, against counting at every similarity."""

import numpy as np
import pytest

from mmps.evaluation.match_threshold import match_threshold
from mmps.evaluation.rankings import Search, search_of_features
from tests.evaluation.random_sets import random_features


def pairs_of(search, name):
    """Similarities of true positives and of all other candidates."""
    right, wrong = [], []
    for position in range(len(search.protocols[name].queries)):
        ranking = search.ranking(name, position)
        for value, is_right in zip(
            ranking.similarity, ranking.is_right, strict=True
        ):
            (right if is_right else wrong).append(float(value))
    return right, wrong


@pytest.mark.parametrize('false_rate', [0.01, 0.1, 0.5])
@pytest.mark.parametrize('seed', range(6))
def test_it_is_the_smallest_that_few_others_reach(seed, false_rate):
    features = random_features(np.random.default_rng(seed))
    search = search_of_features(features)
    for name in search.protocols:
        right, wrong = pairs_of(search, name)
        if not wrong:
            continue
        found = match_threshold(search, name, false_rate)
        reached = [value for value in wrong if value >= found.similarity]
        assert len(reached) <= false_rate * len(wrong)
        assert found.num_false == len(reached)
        assert found.num_others == len(wrong)
        assert found.num_true == sum(v >= found.similarity for v in right)
        below = [value for value in wrong if value < found.similarity]
        if below:  # one step lower, and too many pass
            lower = max(below)
            passing = sum(value >= lower for value in wrong)
            assert passing > false_rate * len(wrong)


def test_the_first_protocol_is_meant():
    search = search_of_features(random_features(np.random.default_rng(0)))
    first = next(iter(search.protocols))
    assert match_threshold(search) == match_threshold(search, first)


def test_what_cannot_be_measured_is_named():
    nothing = Search([], [], {}, None)
    with pytest.raises(ValueError, match=r'no protocol None .* none'):
        match_threshold(nothing)
    search = search_of_features(random_features(np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"no protocol 'G7' in this search"):
        match_threshold(search, 'G7')
