"""Fixtures of the pairwise test: one network and one run for each file."""

from functools import partial

import pytest

from mmps.models.pair_search import PairSearcher
from tests.evaluation.pair_runs import (
    configured,
    findings_in,
    make_loop,
    runner_of,
)
from tests.synthetic.sets import copy_cuhk_sysu


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp('pairs') / 'scenes'
    copy_cuhk_sysu(out)
    return out


@pytest.fixture(scope='module')
def config(data, tmp_path_factory):
    return configured(tmp_path_factory.mktemp('config'), data)


@pytest.fixture(scope='module')
def runner(config, tmp_path_factory):
    return runner_of(config, tmp_path_factory.mktemp('work'))


@pytest.fixture
def make(runner, tmp_path):
    return partial(make_loop, runner, tmp_path)


@pytest.fixture
def pairs_run(monkeypatch):
    """Counts pairs: [number]."""
    count = [0]
    search = PairSearcher.search

    def counted(self, pairs):
        count[0] += len(pairs)
        return search(self, pairs)

    monkeypatch.setattr(PairSearcher, 'search', counted)
    return count


@pytest.fixture(scope='module')
def unbroken_folder(tmp_path_factory):
    return tmp_path_factory.mktemp('expected')


@pytest.fixture(scope='module')
def unbroken(runner, unbroken_folder):
    """Result and findings of one run in one process."""
    loop = make_loop(runner, unbroken_folder)
    return loop.run(), findings_in(loop)


@pytest.fixture(scope='module')
def expected(unbroken):
    return unbroken[0]


@pytest.fixture(scope='module')
def expected_findings(unbroken):
    return unbroken[1]
