"""The first cases of every campaign."""

import pytest

from .campaigns import CAMPAIGNS, attack
from .trial import Trial

#: How many.
CASES = {'operators': 60}


@pytest.mark.parametrize('name', CASES)
def test_a_few_cases_keep_the_promise(name, tmp_path):
    trial = Trial(0, CASES[name], tmp_path, CAMPAIGNS[name].minutes)
    seen = attack(name, trial)
    assert trial.broken == []
    assert trial.done == CASES[name]
    assert seen
