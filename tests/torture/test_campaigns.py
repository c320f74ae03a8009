"""A few cases of campaigns, so that none breaks unseen.

That of `requests` is in tests/demo, whose tests import Gradio anyway.
"""

import pytest

from .campaigns import CAMPAIGNS, attack
from .trial import Trial


# they fork, perhaps with threads of other tests
@pytest.mark.parametrize('name', ['annotations', 'pictures'])
@pytest.mark.filterwarnings('ignore')
def test_a_few_cases(name, tmp_path):
    assert name in CAMPAIGNS
    trial = Trial(seed=0, cases=12, folder=tmp_path, minutes=5)
    assert attack(name, trial)
    assert (trial.done, trial.broken) == (12, [])
