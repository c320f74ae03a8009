"""Conditions that make no sense are refused, and score as float32."""

import numpy as np
import pytest

from mmps.inference import Source, Where


@pytest.mark.parametrize(
    ('conditions', 'error', 'message'),
    [
        ({'cameras': 'gate'}, TypeError, r"give \('gate',\)"),
        ({'after': float('nan')}, ValueError, 'after must be finite'),
        ({'after': 5, 'before': 5}, ValueError, 'after = 5 .*before = 5'),
        ({'min_score': 1.5}, ValueError, r'\[0, 1\], got 1\.5'),
    ],
)
def test_nonsense_is_refused(conditions, error, message):
    with pytest.raises(error, match=message):
        Where(**conditions)


def test_a_score_equals_itself_whatever_its_type():
    # float32(0.7) is below 0.7: compared as they stand it would be left out
    scores = np.array([0.7, 0.69999], np.float32)
    assert float(scores[0]) < 0.7
    assert Where(min_score=0.7).people(scores).tolist() == [True, False]
    assert Where(min_score=0.7).least_score == float(scores[0])


def test_what_is_not_known_is_in_no_camera_and_no_time():
    sources = [Source('a', camera='x', time=5.0), Source('b'), Source()]
    assert Where(cameras=['x', 'y']).pictures(sources).tolist() == [1, 0, 0]
    assert Where(after=0).pictures(sources).tolist() == [1, 0, 0]
    assert Where(before=9).pictures(sources).tolist() == [1, 0, 0]
    assert Where(images='').pictures(sources).all()
    assert Where(cameras=[]).pictures(sources).sum() == 0
    assert len(Where(cameras=['x'], after=0).pictures([])) == 0
