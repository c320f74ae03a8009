import os
import signal
import time

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from mmps.engine.data_workers import protect_workers, rest_of_epoch
from tests.preloaded import SERVER

from .toy import ToyData
from .toy_ranks import session, start_toy

BUSY = {
    'train_dataloader.num_workers': 2,
    'train_dataloader.persistent_workers': True,
    'train_dataloader.dataset.seconds': 60.0,
}


def gone(number, seconds):
    """Whether all processes of a session end in time."""
    deadline = time.monotonic() + seconds
    while session(number) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not session(number)


def started(work_dir, **changes):
    """A run whose two workers are busy loading."""
    process = start_toy(work_dir, **changes)
    deadline = time.monotonic() + 240
    seen = 0  # in a row; the start of a run has other children, for a moment
    while seen < 50 and time.monotonic() < deadline:
        seen = seen + 1 if len(session(process.pid)) == 3 else 0
        time.sleep(0.02)
    assert seen == 50
    return process


@pytest.mark.slow
@pytest.mark.parametrize('end', ['killed', 'signalled twice'])
def test_busy_workers_end_with_their_process(end, tmp_path):
    process = started(tmp_path / 'work', **BUSY)
    if end == 'killed':
        process.kill()
    else:
        os.kill(process.pid, signal.SIGTERM)
        time.sleep(2.1)  # else the two are one
        os.kill(process.pid, signal.SIGTERM)
    process.join(10)
    code = signal.SIGKILL if end == 'killed' else signal.SIGTERM
    assert process.exitcode == -code
    assert gone(process.pid, 10)
    output = (tmp_path / 'work.txt').read_text()
    assert 'Traceback' not in output


def fail_with_workers(persistent):
    loader = DataLoader(
        ToyData(),
        num_workers=2,
        persistent_workers=persistent,
        multiprocessing_context='fork',
        collate_fn=list,
    )
    protect_workers(loader)
    batches = iter(loader)
    next(batches)
    raise KeyError


@pytest.mark.parametrize('persistent', [False, True])
def test_workers_of_a_process_that_fails_do_not_keep_it(persistent):
    process = SERVER.Process(target=fail_with_workers, args=(persistent,))
    process.start()
    process.join(60)
    process.kill()
    assert process.exitcode == 1


def test_the_function_that_starts_a_worker_is_still_called(tmp_path):
    def begin(worker):
        (tmp_path / str(worker)).touch()

    loader = DataLoader(
        ToyData(), num_workers=2, worker_init_fn=begin, collate_fn=list
    )
    protect_workers(loader)
    assert len(list(loader)) == 12
    assert sorted(p.name for p in tmp_path.iterdir()) == ['0', '1']


class OddBatches(BatchSampler):
    """Batches that a batch sampler of its own makes, of 1, 2, 3 ..."""

    def __iter__(self):
        indices = list(self.sampler)
        size = 1
        while indices:
            yield indices[:size]
            indices, size = indices[size:], size + 1


@pytest.mark.parametrize('drop_last', [False, True])
@pytest.mark.parametrize('kind', [BatchSampler, OddBatches])
@pytest.mark.parametrize('workers', [0, 2])
def test_the_rest_is_the_end_of_the_whole(kind, drop_last, workers):
    class Shuffled(RandomSampler):
        def __iter__(self):
            generator = torch.Generator().manual_seed(4)
            yield from torch.randperm(10, generator=generator).tolist()

    loader = DataLoader(
        range(10),
        batch_sampler=kind(Shuffled(range(10)), 3, drop_last),
        num_workers=workers,
        collate_fn=list,
    )
    whole = list(loader)
    for done in range(len(whole) + 1):
        assert list(rest_of_epoch(loader, done)) == whole[done:]
