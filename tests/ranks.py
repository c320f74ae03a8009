"""Run a function on several real gloo processes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.preloaded import SERVER


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


def run_mortal_ranks(
    world_size: int, folder: Path, function: Callable, *args: Any
) -> tuple[list[int], dict[int, Any]]:
    """As ``run_ranks``, of processes that may die.

    Returns:
        Exit codes by rank; what the function returned, of those that lived.
    """
    processes = [
        SERVER.Process(
            target=_mortal,
            args=(rank, world_size, str(folder), function, args),
        )
        for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=300)
        process.kill()
    files = {rank: folder / f'{rank}.pt' for rank in range(world_size)}
    return [process.exitcode for process in processes], {
        rank: torch.load(file, weights_only=False)
        for rank, file in files.items()
        if file.exists()
    }


def _mortal(rank: int, world_size: int, folder: str, function, args) -> None:
    _begin(rank, world_size, folder)
    torch.save(function(rank, *args), f'{folder}/{rank}.pt')
    # a group with a dead member has no clean end
    os._exit(0)


def _begin(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/rendezvous',
        rank=rank,
        world_size=world_size,
    )


def _worker(
    rank: int, world_size: int, folder: str, function: Callable, args: tuple
) -> None:
    _begin(rank, world_size, folder)
    torch.save(function(rank, *args), f'{folder}/{rank}.pt')
    # Gloo may abort in its destructors after the work is done, so leave
    # without running them.
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
