"""``mmps demo`` as a user starts it."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from mmps.commands import main

ROOT = Path(__file__).parents[2]


def test_without_gradio_it_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert main(['demo']) == 2
    said = capsys.readouterr().err
    assert "pip install 'mmps[demo]'" in said
    assert 'Traceback' not in said


@pytest.mark.slow
@pytest.mark.long
def test_it_starts_and_leaves_nothing_behind(tiny, tmp_path):
    pytest.importorskip('gradio')
    command = ('demo/app.py', '--device', 'cpu')
    with subprocess.Popen(
        [
            *(sys.executable, '-u', *command),
            *('--model', tiny.config, '--weights', tiny.weights),
        ],
        cwd=ROOT,
        env={**os.environ, 'TMPDIR': str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if 'is open to this computer alone' in line:
                    break
            else:
                pytest.fail(''.join(lines))
            url = re.search(r'http://127\.0\.0\.1:\d+/', lines[-1])[0]
            assert requests.get(url, timeout=10).status_code == 200
            (folder,) = tmp_path.glob('mmps-demo-*')
            assert len(list((folder / 'scenes').glob('*.jpg'))) == 46
        finally:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert not list(tmp_path.glob('mmps-demo-*'))


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--model', 'none.py', '--weights', 'x.pth'], 'none.py: no such'),
        (['--model', 'configs/oim/oim_r50.py'], 'needs weights'),
    ],
)
def test_a_bad_model_is_one_line(words, message, monkeypatch, capsys):
    pytest.importorskip('gradio')
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    assert main(['demo', *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith('mmps demo: ')
    assert message in said
