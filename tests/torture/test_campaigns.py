"""A few cases of campaigns, so that none breaks unseen."""

import pytest

from .campaigns import CAMPAIGNS, attack
from .trial import Trial

#: Those whose parts have no tests of their own, and how many cases.
CASES = {'annotations': 12, 'operators': 60, 'pictures': 12, 'requests': 12}


@pytest.mark.parametrize('name', CASES)
# forks in a process with threads, and Gradio, whose warnings are not ours
@pytest.mark.filterwarnings('ignore')
def test_a_few_cases_keep_the_promise(name, tmp_path):
    trial = Trial(0, CASES[name], tmp_path, CAMPAIGNS[name].minutes)
    assert attack(name, trial)
    assert (trial.done, trial.broken) == (CASES[name], [])
