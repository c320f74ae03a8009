"""Stopped and resumed equals unbroken, for all that this project trains.

A case has a network, what runs beside it (moving averages, bfloat16, a second
process), a way to end early (behind an epoch, within one, at a checkpoint by
iteration), and data workers of both starts. In place of ending early it may
train again with other workers: the same seed gives the same run.
"""

import random
import signal
from collections import Counter
from pathlib import Path

from .trainings import (
    BATCH,
    BATCHES,
    EPOCHS,
    NETWORKS,
    count_numbers,
    differences,
    fingerprint,
    load,
    prepare,
    start,
    succeed,
)
from .trial import Trial

LAST = f'epoch_{EPOCHS}.pth'
ITERATIONS = EPOCHS * BATCHES
EMA = dict(type='EMAHook', momentum=0.3)
#: What runs beside a network: hooks, options, processes. One for each round
#: of all networks.
BESIDE = (
    ([], (), 1),
    ([EMA], (), 1),
    ([], (), 2),
    ([EMA], (), 1),
    ([EMA], ('--amp=bf16',), 1),
    ([], (), 1),
)
#: Ways to end early, and what they are called.
KINDS = {
    'epoch': 'stopped behind an epoch',
    'within': 'within one',
    'iteration': 'at a checkpoint by iteration',
    'again': 'trained again with other workers',
}
#: Places of a checkpoint that hold what is trained.
TRAINED = ('.state_dict', '.optimizer', '.ema_state_dict', '.batch_norm')


def attack(trial: Trial) -> str:
    """Stop and resume."""
    folder = trial.folder
    prepare(folder)
    unbroken: dict[tuple, Path] = {}
    kinds, numbers = Counter(), []
    for number, rng in trial.each():
        with trial.attempt(number):
            network = NETWORKS[number % len(NETWORKS)]
            beside = number // len(NETWORKS) % len(BESIDE)
            run = _Run(folder, network, *BESIDE[beside])
            whole = unbroken.get((network, beside))
            if whole is None:
                whole = folder / f'whole{len(unbroken)}'
                run.train(whole)
                assert differences(whole / LAST, whole / 'epoch_2.pth')
                unbroken[network, beside] = whole
            kind, work = rng.choice(list(KINDS)), folder / str(number)
            _CASES[kind](run, work, rng, whole)
            kinds[kind] += 1
            numbers.append(count_numbers(whole / LAST))
    shown = ', '.join(f'{kinds[kind]} {text}' for kind, text in KINDS.items())
    return (
        f'{shown}; {min(numbers, default=0):,} to {max(numbers, default=0):,} '
        f'numbers compared in each of {len(unbroken)} trainings'
    )


class _Run:
    """How a network is trained in a case."""

    def __init__(
        self,
        folder: Path,
        network: str,
        hooks: list[dict],
        options: tuple[str, ...],
        ranks: int,
    ) -> None:
        share = f'train_dataloader.batch_size={BATCH // ranks}'
        self._folder, self._network = folder, network
        self._hooks = hooks
        self._options = (*options, share)
        self.ranks = ranks

    def begin(self, work: Path, *options: str, hook: dict | None = None):
        """Start it; returns its processes.

        Args:
            work: Its folder.
            options: More of them.
            hook: Beside its own.
        """
        hooks = [*self._hooks, *([hook] if hook else [])]
        config = self._folder / f'{work.name}.config.py'
        config.write_text(
            f"_base_ = './{self._network}.py'\n"
            f'custom_hooks = [*_base_.custom_hooks, *{hooks!r}]\n'
        )
        return start(
            *(config, work, *self._options, *options), ranks=self.ranks
        )

    def train(self, work: Path, *options: str) -> None:
        """Train to the end."""
        succeed(self.begin(work, *options))


def _workers(rng: random.Random) -> list[str]:
    """Options: 0, 2 or 3 data workers, that stay or not."""
    number = rng.choice([0, 2, 3])
    stay = number > 0 and rng.random() < 0.5
    return [
        f'train_dataloader.num_workers={number}',
        f'train_dataloader.persistent_workers={stay}',
    ]


def _behind_an_epoch(run, work: Path, rng: random.Random, whole: Path) -> None:
    hook = dict(type='StopHook', epoch=rng.randrange(1, EPOCHS))
    for child in run.begin(work, *_workers(rng), hook=hook):
        assert child.code() == 1, child.printed[-300:]
        assert 'Stop' in child.printed
    _resume(run, work, rng, whole)


def _within_an_epoch(run, work: Path, rng: random.Random, whole: Path) -> None:
    at = 1 + BATCHES * rng.randrange(EPOCHS)
    hook = dict(type='SignalHook', at=at)
    for child in run.begin(work, *_workers(rng), hook=hook):
        assert child.code() == 128 + signal.SIGTERM, child.printed[-300:]
    assert load(work / 'interrupted.pth')['meta']['batches_done'] == 1
    _resume(run, work, rng, whole)


def _resume(run, work: Path, rng: random.Random, whole: Path) -> None:
    assert not (work / LAST).exists()
    run.train(work, '--resume', *_workers(rng))
    places = differences(work / LAST, whole / LAST)
    assert not places, places[:5]


def _by_iteration(run, work: Path, rng: random.Random, whole: Path) -> None:
    options = [
        'default_hooks.checkpoint.by_epoch=False',
        'default_hooks.checkpoint.max_keep_ckpts=-1',
    ]
    run.train(work, *options, *_workers(rng))
    last = f'iter_{ITERATIONS}.pth'
    if run.ranks == 1:  # more often averaged statistics differ in a last bit
        places = differences(work / last, whole / LAST)
        places = [place for place in places if place.startswith(TRAINED)]
        assert not places, places[:5]
    middle = work / f'iter_{rng.randrange(1, ITERATIONS)}.pth'
    again = work.with_name(f'{work.name}.again')
    run.train(again, f'--resume={middle}', *options, *_workers(rng))
    places = differences(again / last, work / last)
    assert not places, places[:5]


def _once_more(run, work: Path, rng: random.Random, whole: Path) -> None:
    run.train(work, *_workers(rng))
    assert fingerprint(work / LAST) == fingerprint(whole / LAST)


_CASES = {
    'epoch': _behind_an_epoch,
    'within': _within_an_epoch,
    'iteration': _by_iteration,
    'again': _once_more,
}
