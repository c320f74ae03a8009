"""A few cases of each campaign, so that none breaks unseen."""

import pytest

from .campaigns import CAMPAIGNS, attack
from .trial import Trial


@pytest.mark.parametrize('name', ['annotations', 'pictures', 'requests'])
# forks in a process with threads, and Gradio, whose warnings are not ours
@pytest.mark.filterwarnings('ignore')
def test_a_few_cases(name, tmp_path):
    assert name in CAMPAIGNS
    trial = Trial(seed=0, cases=12, folder=tmp_path, minutes=5)
    assert attack(name, trial)
    assert (trial.done, trial.broken) == (12, [])
