"""Run a function on several real gloo processes."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# Importing mmps takes seconds: one clean process does, ranks are its forks.
multiprocessing.get_context('forkserver').set_forkserver_preload(['mmps'])


def run_ranks(
    world_size: int, folder: Path, function: Callable, *args: Any
) -> list:
    """Call ``function(rank, *args)`` on every rank of a process group.

    Args:
        world_size: Number of processes.
        folder: An empty folder, for the rendezvous and the results.
        function: Defined at module level, so that it can be pickled.
        args: Further arguments, picklable.

    Returns:
        What the function returned, by rank.
    """
    mp.start_processes(
        _worker,
        args=(world_size, str(folder), function, args),
        nprocs=world_size,
        start_method='forkserver',
    )
    return [
        torch.load(folder / f'{rank}.pt', weights_only=False)
        for rank in range(world_size)
    ]


def _worker(
    rank: int, world_size: int, folder: str, function: Callable, args: tuple
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/rendezvous',
        rank=rank,
        world_size=world_size,
    )
    torch.save(function(rank, *args), f'{folder}/{rank}.pt')
    # Gloo may abort in its destructors after the work is done, so leave
    # without running them.
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
