"""The benchmark runs, and its contenders agree on tiny inputs."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / 'benchmarks' / 'ops.py'


def load():
    spec = importlib.util.spec_from_file_location('benchmark_ops', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_runs_and_writes_what_it_prints(tmp_path, capsys):
    out = tmp_path / 'ops.json'
    load().main(['--quick', '--repeats', '2', '--out', str(out)])
    result = json.loads(out.read_text())
    printed = capsys.readouterr().out
    assert len(result['rows']) % 3 == 0
    for row in result['rows']:
        assert {'ours', 'plain torch'} <= set(row['found'])
        for one in row['found'].values():
            assert len(one['times_s']) == 2
    for name in result['absent']:
        assert f'not there: {name}' in printed
    assert result['machine']['torch'] in printed


def test_help_needs_no_torch():
    code = (
        'import runpy, sys\n'
        f'sys.argv = ["ops.py", "--help"]\n'
        f'try: runpy.run_path({str(SCRIPT)!r}, run_name="__main__")\n'
        'except SystemExit: print("torch" in sys.modules)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert '--repeats' in done.stdout
    assert done.stdout.splitlines()[-1] == 'False'
