import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmps.checkpoints import ranged_get

from .small import private_cache

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Folder of the cache; downloads do not wait between tries."""
    clock = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr(ranged_get, 'time', clock)
    return private_cache(monkeypatch, tmp_path)


@pytest.fixture
def run_tool(monkeypatch, capsys):
    """Runs a tool in this process; returns its code, output and errors."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(TOOLS / name), run_name='__main__')
        return ended.value.code, *capsys.readouterr()

    return run
