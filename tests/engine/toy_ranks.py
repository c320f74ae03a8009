"""Run the toy on several gloo processes, as torchrun would."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from mmps.engine import Interrupted, launched
from tests.ports import free_port
from tests.preloaded import SERVER

from . import toy


def start_toy(work_dir: Path, **changes):
    """Start a run in a process and a session of its own, to be killed."""
    process = SERVER.Process(target=_alone, args=(work_dir, changes))
    process.start()
    return process


def session(number: int) -> list[int]:
    """Processes of a session that live."""
    living = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            state, _, _, sid = (folder / 'stat').read_text().split()[2:6]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(sid) == number and state != 'Z':
            living.append(int(folder.name))
    return living


def run_toy_ranks(
    count: int, work_dir: Path, meanwhile: Callable | None = None, **changes
) -> list:
    """Train on ``count`` ranks; return (exit code, all output) by rank.

    ``meanwhile`` is called with the process ids of the ranks.
    """
    port = free_port()
    logs = [work_dir.parent / f'{work_dir.name}.{r}.txt' for r in range(count)]
    processes = [
        SERVER.Process(
            target=_rank,
            args=(rank, count, port, logs[rank], work_dir, changes),
        )
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    if meanwhile is not None:
        meanwhile([process.pid for process in processes])
    for process in processes:
        process.join(120)
        process.kill()
    return [
        (process.exitcode, log.read_text())
        for process, log in zip(processes, logs, strict=True)
    ]


def _alone(work_dir, changes) -> None:
    os.setsid()
    # ignored, and so inherited, if the tests run in the background
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _write_to(work_dir.parent / f'{work_dir.name}.txt')
    toy.torch.set_num_threads(1)
    try:
        toy.train(work_dir, **changes)
    except Interrupted as stop:
        stop.leave()


def _write_to(log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _rank(rank, count, port, log, work_dir, changes) -> None:
    _write_to(log)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(count),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    toy.torch.set_num_threads(1)
    cfg = toy.make_config(work_dir, launcher='pytorch', **changes)

    def work() -> None:
        runner = toy.run(cfg)
        model = type(runner.model).__name__
        done = dict(model=model, fingerprint=toy.fingerprint(runner))
        print('DONE', json.dumps(done))

    try:
        launched(cfg, work)
    except Interrupted as stop:
        stop.leave()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # gloo may abort while the interpreter ends
