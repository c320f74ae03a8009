import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ('asked', 'program', 'expected'),
    [
        (None, 'import mmps', 'PASSIVE'),
        (None, 'import torch, mmps', None),
        ('ACTIVE', 'import mmps', 'ACTIVE'),
    ],
)
def test_threads_wait_asleep_unless_told_otherwise(
    asked, program, expected, monkeypatch
):
    monkeypatch.delenv('OMP_WAIT_POLICY', raising=False)
    if asked is not None:
        monkeypatch.setenv('OMP_WAIT_POLICY', asked)
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            f'{program}\nimport os; print(os.environ.get("OMP_WAIT_POLICY"))',
        ],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=True,
    )
    assert done.stdout.split() == [str(expected)]


def test_openmp_has_read_it(monkeypatch):
    monkeypatch.delenv('OMP_WAIT_POLICY', raising=False)
    monkeypatch.setenv('OMP_DISPLAY_ENV', 'TRUE')
    done = subprocess.run(
        [sys.executable, '-c', 'import mmps'],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=True,
    )
    if 'OMP_WAIT_POLICY' not in done.stderr:
        pytest.skip('this OpenMP does not show its settings')
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
