"""Kill -9: a training that is killed at any moment resumes bit for bit.

Half of the kills come at any moment of a run. The other half come while a
checkpoint is written: the process kills itself before, within or behind one
of the steps that a file takes until it has its name, with the note of the
last one and the deletion of outdated ones.
"""

import contextlib
import io
import itertools
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

from mmps import atomic_files

from .children import Child, living
from .trainings import (
    BATCHES,
    EPOCHS,
    count_numbers,
    differences,
    load,
    logged,
    prepare,
    resume,
    table_of,
    train,
)
from .trial import Trial

LAST = f'epoch_{EPOCHS}.pth'
#: What a run leaves, beside the folders of its logs.
LEFT = sorted([f'epoch_{EPOCHS - 1}.pth', LAST, 'last_checkpoint', 'oim.py'])


def attack(trial: Trial) -> str:
    """Kill and resume."""
    folder = trial.folder
    prepare(folder)
    config, whole = folder / 'oim.py', folder / 'whole'
    unbroken = Child(
        *(_measured, config, whole, folder / 'measured'),
        log=folder / 'whole.txt',
    )
    assert unbroken.code() == 0, unbroken.printed
    steps, seconds = map(float, (folder / 'measured').read_text().split())
    assert files_of(whole) == LEFT
    table, queue = table_of(whole / LAST)
    assert table.any(dim=1).sum() > 1
    assert queue.any(dim=1).sum() > 1
    assert differences(whole / LAST, whole / LEFT[0])  # it can see some
    lost, anew, halves = [], 0, 0
    for number, rng in trial.each():
        with trial.attempt(number):
            work, log = folder / str(number), folder / f'{number}.txt'
            if number % 2:
                step, share = rng.randrange(int(steps)), rng.random()
                child = Child(_dies_at, config, work, step, share, log=log)
            else:
                child = _killed_after(seconds, rng, config, work, log)
            code = child.code()
            assert code == -signal.SIGKILL, (code, child.printed[-300:])
            assert living(child.pid) == []
            for file in work.glob('*.pth'):
                load(file)  # a truncated one raises
            anew += not list(work.glob('*.pth'))
            halves += bool(list(work.glob('.*.tmp')))
            before = len(logged(work))
            child = Child(resume, config, work, log=log)
            assert child.code() == 0, child.printed[-300:]
            again = logged(work)[before:]
            lost.append(before - (EPOCHS * BATCHES - len(again)))
            assert 0 <= lost[-1] <= BATCHES, f'{lost[-1]} iterations lost'
            for name in LEFT[:2]:
                places = differences(work / name, whole / name)
                assert not places, (name, places[:5])
            assert files_of(work) == LEFT, files_of(work)
            note = (work / LEFT[2]).read_text()
            assert note == str(work / LAST), note
    assert trial.done < 50 or (anew and halves and any(lost))
    return (
        f'{anew} before the first checkpoint, {halves} with half a file '
        f'beside; iterations lost: {sum(lost) / max(1, len(lost)):.1f} in '
        f'the mean, at most {max(lost, default=0)}, of {BATCHES} in an epoch; '
        f'{count_numbers(whole / LAST):,} numbers compared'
    )


def files_of(work: Path) -> list[str]:
    """Files of a run but those of its logs, temporary ones with them."""
    return sorted(path.name for path in work.iterdir() if path.is_file())


def _killed_after(
    seconds: float, rng: random.Random, config: Path, work: Path, log: Path
) -> Child:
    """A training that is killed at a moment of the work that it has."""
    moment = seconds * rng.uniform(0.02, 0.98)
    while True:
        child = Child(train, config, work, log=log)
        if child.reaches(moment):
            child.send(signal.SIGKILL)
        if child.code() != 0:
            return child
        # on a computer that is less busy than it was, the same takes less
        shutil.rmtree(work)
        moment *= 0.8


def _measured(config: Path, work: Path, out: Path) -> int:
    """Train, and note the steps of writing and the seconds of work."""
    steps = itertools.count()
    with _hooked(lambda: next(steps), share=0.5):
        code = train(config, work)
    out.write_text(f'{next(steps)} {time.thread_time()}')
    return code


def _dies_at(config: Path, work: Path, step: int, share: float) -> int:
    """Train until a step of writing.

    Args:
        config: Of the training.
        work: Its folder.
        step: As ``_measured`` counts them.
        share: Of the bytes that are written where that step is one of them.
    """
    steps = itertools.count()

    def pass_step() -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    with _hooked(pass_step, share):
        return train(config, work)


@contextlib.contextmanager
def _hooked(call: Callable[[], object], share: float) -> Iterator[None]:
    """Have a function called around all steps of writing a file.

    Args:
        call: The function.
        share: Of the bytes; it is called when these are written, too.
    """

    class Halved(io.BufferedWriter):
        def write(self, content: bytes) -> int:
            part = int(share * len(content))
            super().write(content[:part])
            self.flush()
            call()
            return part + super().write(content[part:])

    def around(function: Callable) -> Callable:
        def hooked(*args: Any, **options: Any) -> Any:
            call()
            result = function(*args, **options)
            call()
            return result

        return hooked

    def opened(path: Path, mode: str) -> BinaryIO:
        return Halved(io.FileIO(path, mode))

    with (
        mock.patch.object(atomic_files, 'open', around(opened), create=True),
        mock.patch.object(os, 'fsync', around(os.fsync)),
        mock.patch.object(os, 'replace', around(os.replace)),
        mock.patch.object(Path, 'unlink', around(Path.unlink)),
    ):
        yield
