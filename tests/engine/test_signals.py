"""Runs in processes of their own, stopped at moments that nobody chose."""

import contextlib
import os
import random
import signal
import time

import pytest

from .test_train_loop import OPTIONS, run
from .toy import logged
from .toy_ranks import run_toy_ranks, session, start_toy

SIGNALS = [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]
#: A few seconds of training, with two workers.
SLOW = {
    **OPTIONS,
    'train_dataloader.num_workers': 2,
    'train_dataloader.persistent_workers': True,
    'train_dataloader.dataset.seconds': 0.03,
}


def await_lines(work_dir, lines):
    """Wait until a run has logged so much."""
    deadline = time.monotonic() + 240
    while True:
        files = work_dir.glob('*/vis_data/scalars.json')
        if sum(file.read_text().count('\n') for file in files) >= lines:
            return
        assert time.monotonic() < deadline
        time.sleep(0.005)


def stopped(work_dir, lines, delay, signum, group):
    """Exit code of a run that gets a signal while it trains.

    Args:
        lines: That the run has logged before.
        delay: Seconds after that.
        group: The data workers get it, too, as by Ctrl-C.
    """
    process = start_toy(work_dir, **SLOW)
    await_lines(work_dir, lines)
    time.sleep(delay)
    for pid in session(process.pid) if group else [process.pid]:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signum)
    process.join(10)
    assert not process.is_alive()
    assert session(process.pid) == []
    output = work_dir.parent / f'{work_dir.name}.txt'
    assert 'Traceback' not in output.read_text()
    return process.exitcode


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.filterwarnings('ignore:This DataLoader will create')
def test_twenty_signals_at_random_moments_lose_nothing(tmp_path):
    whole = run(tmp_path / 'whole', SLOW)
    chance = random.Random(0)
    over = 0  # before the signal came
    for number in range(20):
        work_dir = tmp_path / str(number)
        signum = SIGNALS[number % 3]
        moment = chance.randrange(1, 18), chance.uniform(0, 0.2)
        code = stopped(work_dir, *moment, signum, group=number % 2 == 0)
        if code in (0, -signum):
            assert (work_dir / 'epoch_3.pth').exists()
            over += 1
        else:
            assert code == 128 + signum
            assert (work_dir / 'interrupted.pth').exists()
        assert run(work_dir, SLOW, resume=True) == whole
    assert over < 10


@pytest.mark.slow
@pytest.mark.long
def test_two_ranks_are_stopped_at_random_moments(tmp_path):
    options = {**SLOW, 'train_dataloader.batch_size': 2}
    options['train_dataloader.num_workers'] = 1
    whole = run_toy_ranks(2, tmp_path / 'whole', **options)
    chance = random.Random(0)
    for number in range(6):
        work_dir = tmp_path / str(number)
        ranks = [[0], [1], [0, 1]][number % 3]
        lines, delay = chance.randrange(1, 15), chance.uniform(0, 0.2)

        def send(pids, ranks=ranks, moment=(work_dir, lines), delay=delay):
            await_lines(*moment)
            time.sleep(delay)
            for rank in ranks:
                os.kill(pids[rank], signal.SIGTERM)

        stopped = run_toy_ranks(2, work_dir, send, **options)
        assert [code for code, _ in stopped] == [143, 143], stopped
        resumed = run_toy_ranks(2, work_dir, **options, resume=True)
        assert [code for code, _ in resumed] == [0, 0], resumed
        ends = [run[0][1].split('DONE ')[1] for run in (whole, resumed)]
        assert ends[1] == ends[0]
        assert logged(work_dir) == logged(tmp_path / 'whole')


@pytest.mark.filterwarnings('ignore:This DataLoader will create')
def test_ctrl_c_ends_with_two_lines(tmp_path):
    work_dir = tmp_path / 'work'
    assert stopped(work_dir, 1, 0.1, signal.SIGINT, group=True) == 130
    output = (tmp_path / 'work.txt').read_text()
    start = output.index('SIGINT: ')
    assert len(output[start:].splitlines()) == 2
    assert output.rstrip().endswith('interrupted.pth: continue with --resume')
