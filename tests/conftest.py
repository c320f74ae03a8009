import gc
import random
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

import tests.quick_runs  # noqa: F401 - patches mmengine
from mmps.commands import main

#: Rough seconds of a test by its mark; a twentieth for another.
SECONDS = {'long': 30, 'slow': 10}
#: Rough seconds of files of many tests that are neither.
FILES = {
    'datasets/test_pair_dataset.py': 20,
    'evaluation/test_pair_test_loop.py': 25,
    'evaluation/test_pair_test_loop_resumed.py': 25,
    'models/test_pair_search.py': 20,
    'ops/test_kernels.py': 15,
}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Files that take longest first, so that no process ends on one alone."""
    folder = Path(__file__).parent
    seconds = Counter({folder / name: each for name, each in FILES.items()})
    for item in items:
        marks = (mark.name for mark in item.iter_markers())
        seconds[item.path] += max(SECONDS.get(m, 0.05) for m in (*marks, ''))
    items.sort(key=lambda item: (-seconds[item.path], str(item.path)))


def pytest_collection_finish():
    """Keep a million objects of imports out of each garbage collection.

    mmengine collects for each data set that it makes.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _scope_of_mmdet():
    """Configs set mmdet's scope; a test before may have left another."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture(autouse=True)
def _seed():
    """Every test draws the same numbers, alone and in any order."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - mmdet's transforms draw from it
    torch.manual_seed(0)


@pytest.fixture
def heard():
    """Ctrl-C is heard, as it is not by tests that run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def command(capsys):
    """Runs ``mmps COMMAND ...`` in this process: code, output, errors."""

    def run(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run
