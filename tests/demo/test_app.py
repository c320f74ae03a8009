"""demo/app.py as a user starts it."""

import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
RUN = "import runpy, sys; sys.argv = ['app.py', *{words!r}]\n"


def run(code, **environment):
    return subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_is_quick():
    code = RUN.format(words=['--help']) + (
        "try: runpy.run_path('demo/app.py', run_name='__main__')\n"
        'except SystemExit: pass\n'
        "assert not {'torch', 'mmps', 'gradio'} & set(sys.modules)"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert 'zoo://oim_r18_qeeps50_synth' in done.stdout


def test_without_gradio_it_says_how_to_install_it():
    code = RUN.format(words=[]) + (
        'import importlib.util\n'
        'importlib.util.find_spec = lambda name: None\n'
        "runpy.run_path('demo/app.py', run_name='__main__')"
    )
    done = run(code)
    assert done.returncode == 1
    assert "pip install 'mmps[demo]'" in done.stderr
    assert 'Traceback' not in done.stderr


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
def test_a_bad_model_is_one_line(words, message, monkeypatch):
    pytest.importorskip('gradio')
    monkeypatch.setattr(sys, 'argv', ['app.py', *words])
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    with pytest.raises(SystemExit, match=rf'^demo/app\.py: .*{message}'):
        runpy.run_path(str(ROOT / 'demo/app.py'), run_name='__main__')
