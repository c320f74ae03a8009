"""Four processes of which one is slow and one dies: nothing is lost."""

import os
import signal
import time

import pytest

from mmps.models.pair_search import PairSearcher
from tests.evaluation.pair_runs import (
    check_same_findings,
    files_of,
    findings_in,
    make_loop,
    runner_of,
)
from tests.ranks import run_mortal_ranks

#: The process that dies would also have put the findings together.
DIES, SLOW = 0, 3
#: Seconds that a pair takes at least: sleep, so that the load of the machine
#: hardly counts.
PAIR = 0.1
OPTIONS = dict(
    evaluator=dict(protocols=['occlusion', 'low-resolution']),
    num_queries=None,
    queries_at_once=5,
    unit_pairs=4,
    batch_size=4,
    stale_after=8,
)


def run_rank(rank, config, folder):
    """Figures, and how many pairs this process has run."""
    runner = runner_of(config, folder / f'own{rank}')
    search, count = PairSearcher.search, [0]

    def searched(self, pairs):
        found = search(self, pairs)
        time.sleep(len(pairs) * PAIR * (10 if rank == SLOW else 1))
        count[0] += len(pairs)
        if rank == DIES and count[0] > 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    PairSearcher.search = searched
    figures = make_loop(runner, folder / 'work', **OPTIONS).run()
    return figures, count[0]


@pytest.fixture(scope='module')
def survivors(config, tmp_path_factory):
    """Exit codes, folder of the findings, and what each has returned."""
    folder = tmp_path_factory.mktemp('killed')
    codes, returned = run_mortal_ranks(4, folder, run_rank, config, folder)
    return codes, folder, returned


@pytest.mark.slow
@pytest.mark.long
def test_a_slow_and_a_dead_process_change_nothing(runner, make, survivors):
    codes, folder, returned = survivors
    assert codes == [-signal.SIGKILL, 0, 0, 0]
    alone = make(**OPTIONS)
    expected = alone.run()
    assert [figures for figures, _ in returned.values()] == [expected] * 3
    together = make_loop(runner, folder / 'work', **OPTIONS)
    check_same_findings(findings_in(together), findings_in(alone), noise=0)


@pytest.mark.slow
@pytest.mark.long
def test_processes_of_equal_speed_run_as_many_pairs(survivors):
    _, folder, returned = survivors
    first, second, slow = (
        returned[rank][1] for rank in range(4) if rank != DIES
    )
    assert max(first, second) <= 1.15 * min(first, second)
    assert slow < min(first, second) / 4
    assert len(files_of(folder)) > 40
    assert not list(folder.rglob('*.claim'))
