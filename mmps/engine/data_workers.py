"""Data workers that outlive no run, and the rest of an epoch's batches."""

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from itertools import islice

from torch.utils.data import DataLoader

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def protect_workers(loader: DataLoader) -> None:
    """Let a loader's workers end with the process that they work for.

    Ctrl-C, and many a scheduler, sends a signal to all processes of a group.
    Workers that die of it would stop their run in the middle of an iteration,
    with tracebacks. Under Linux they also go when their process is killed.
    """
    loader.worker_init_fn = functools.partial(_begin, loader.worker_init_fn)


def _begin(then: Callable[[int], None] | None, worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # SIGTERM is how the process itself ends its workers
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_when_told, daemon=True).start()
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if then is not None:
        then(worker)


def _end_when_told() -> None:
    parent = multiprocessing.parent_process().pid
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def rest_of_epoch(loader: DataLoader, done: int) -> Iterable:
    """The batches of an epoch but the first ``done``, which are not loaded.

    Args:
        loader: Its sampler gives the same order whenever it is iterated in
            this epoch.
        done: In [0, len(loader)].
    """
    batches = list(islice(loader.batch_sampler, done, None))
    if not batches:
        return batches
    return DataLoader(
        loader.dataset,
        batch_sampler=batches,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor,
    )
