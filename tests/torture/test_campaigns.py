"""A few cases of campaigns, so that none breaks unseen.

Those of ``requests`` are in tests/demo, whose tests import Gradio anyway.
"""

import pytest

from .campaigns import CAMPAIGNS, attack
from .trial import Trial

#: Those whose parts have no tests of their own, and how many cases.
CASES = {
    'annotations': 12,
    'checkpoints': 21,
    'downloads': 5,
    'dumps': 20,
    'hostile': 7,  # without an archive, for which LanceDB is loaded
    'onnx_files': 12,
    'operators': 60,
    'packed': 12,
    'pictures': 12,
}
NEEDED = {
    'hostile': ('onnx', 'onnxruntime'),
    'onnx_files': ('onnx', 'onnxruntime'),
}


@pytest.mark.parametrize('name', CASES)
# they fork, perhaps with threads of other tests
@pytest.mark.filterwarnings('ignore')
def test_a_few_cases_keep_the_promise(name, tmp_path):
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package)
    trial = Trial(0, CASES[name], tmp_path, CAMPAIGNS[name].minutes)
    assert attack(name, trial)
    assert (trial.done, trial.broken) == (CASES[name], [])
