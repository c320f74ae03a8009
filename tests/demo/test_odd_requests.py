import pytest

from tests.torture.campaigns import attack
from tests.torture.trial import Trial


# Gradio runs in threads of this process, and its warnings are not ours
@pytest.mark.filterwarnings('ignore')
def test_a_few_of_the_campaign(tmp_path):
    pytest.importorskip('gradio', reason="needs Gradio: 'mmps[demo]'")
    trial = Trial(seed=0, cases=12, folder=tmp_path, minutes=5)
    assert 'a good request was answered after' in attack('requests', trial)
    assert (trial.done, trial.broken) == (12, [])
