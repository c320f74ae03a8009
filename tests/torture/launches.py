"""Launches of two processes: all of them end, and end well.

tools/dist_train.sh starts one of 25; imports are most of its time. The others
are forked with what its launcher tells its processes, and take their
interpreter apart at the end, where gloo used to abort.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

from .children import PATIENCE, living
from .trainings import (
    BATCH,
    differences,
    prepare,
    rank_environment,
    start,
    succeed,
)
from .trial import Trial

ROOT = Path(__file__).parents[2]
LAST = 'epoch_1.pth'
OPTIONS = (
    'train_cfg.max_epochs=1',
    f'train_dataloader.batch_size={BATCH // 2}',
)
#: One of so many is a launch by the script.
SCRIPTED = 25
#: What C++ says when a process does not end well.
BAD = ('Traceback', 'terminate called', 'Aborted', 'not joined', 'leaked')


def attack(trial: Trial) -> str:
    """Launch again and again."""
    folder = trial.folder
    prepare(folder)
    config, whole = folder / 'oim.py', folder / 'whole'
    succeed(start(config, whole, *OPTIONS, ranks=2, to_the_end=True))
    assert whole.exists()  # the end of a process deletes nothing of ours
    scripted = 0
    for number, rng in trial.each():
        with trial.attempt(number):
            work = folder / str(number)
            if number % SCRIPTED == SCRIPTED - 1:
                printed = _by_script(config, work)
                scripted += 1
            else:
                children = start(
                    *(config, work, *OPTIONS, *_workers(rng)),
                    ranks=2,
                    to_the_end=True,
                )
                succeed(children)
                printed = ''.join(child.printed for child in children)
                for child in children:
                    assert living(child.pid) == []
            found = [word for word in BAD if word in printed]
            assert not found, (found, printed[-300:])
            places = differences(work / LAST, whole / LAST)
            assert not places, places[:5]
    return (
        f'{trial.done - scripted} forked, {scripted} by tools/dist_train.sh; '
        'exit code 0 of all processes, none left, the same checkpoint each '
        'time'
    )


def _workers(rng: random.Random) -> list[str]:
    """Options: data workers, and whether it validates."""
    return [
        f'train_dataloader.num_workers={rng.choice([0, 0, 1])}',
        f'train_cfg.val_begin={rng.choice([1, 2])}',
    ]


def _by_script(config: Path, work: Path) -> str:
    """Train; what the script and its processes printed."""
    port = rank_environment(2)[0]['MASTER_PORT']
    # a metric of the tests is not known there
    without = [
        f'val_{part}=None' for part in ('cfg', 'dataloader', 'evaluator')
    ]
    options = ('--cfg-options', *OPTIONS, *without)
    done = subprocess.run(
        [
            *(ROOT / 'tools' / 'dist_train.sh', config, '2'),
            *('--work-dir', work, *options),
        ],
        cwd=ROOT,
        env={**os.environ, 'PORT': port, 'PYTHON': sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-300:]
    return done.stdout
