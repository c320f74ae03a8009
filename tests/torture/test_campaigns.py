"""A few cases of each campaign, so that none falls into disrepair."""

import pytest

from .campaigns import attack
from .trial import Trial


@pytest.mark.parametrize(
    ('name', 'cases'),
    [
        ('checkpoints', 21),
        ('dumps', 20),
        ('onnx_files', 12),
        ('packed', 12),
        ('hostile', 7),  # without an archive, for which LanceDB is loaded
        ('downloads', 5),
    ],
)
def test_a_few_cases(name, cases, tmp_path):
    if name in ('onnx_files', 'hostile'):
        pytest.importorskip('onnx')
        pytest.importorskip('onnxruntime')
    trial = Trial(0, cases, tmp_path, 1)
    assert attack(name, trial)
    assert (trial.broken, trial.done) == ([], cases)
