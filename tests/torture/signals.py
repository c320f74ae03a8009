"""SIGTERM, SIGUSR1, SIGINT at any moment: nothing that was trained is lost."""

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from mmps.engine.train_loop import ResumableTrainLoop

from .children import Child, living
from .trainings import (
    differences,
    load,
    logged,
    prepare,
    resume,
    start,
    succeed,
    train,
)
from .trial import Trial

SIGNALS = (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
#: Seconds of a processor from the signal to the end.
LIMIT = 10
#: Two epochs of three iterations, each with a validation.
OPTIONS = (
    'train_cfg.max_epochs=2',
    'train_cfg.val_begin=1',
    'train_cfg.val_interval=1',
    'train_dataloader.dataset.indices=6',
)
LAST, STOPPED = 'epoch_2.pth', 'interrupted.pth'
ITERATIONS, VALIDATIONS = 6, 2
#: Of so many cases one has two processes, which share a batch.
SHARED = 4


@dataclass(frozen=True)
class End:
    """How a run ended that got a signal.

    Attributes:
        kind: SAVED, or before training began, or after its end.
        signum: The signal.
        within: An epoch, not in a validation or between epochs.
        used: Seconds of a processor from the signal to the end.
        passed: Seconds, of which other programs may have had most.
    """

    kind: str
    signum: signal.Signals
    within: bool = False
    used: float = 0.0
    passed: float = 0.0


SAVED, EARLY, LATE = 'saved', 'early', 'late'


def attack(trial: Trial) -> str:
    """Signal and resume."""
    folder = trial.folder
    prepare(folder)
    config, note = folder / 'oim.py', folder / 'note'
    whole = {ranks: folder / f'whole{ranks}' for ranks in (1, 2)}
    alone = Child(_noted, config, whole[1], note, log=folder / 'log')
    assert alone.code() == 0, alone.printed[-300:]
    begin, end = map(float, note.read_text().split())
    succeed(start(config, whole[2], *_options(2), ranks=2))
    for work in whole.values():
        assert len(logged(work)) == ITERATIONS + VALIDATIONS
    assert differences(whole[1] / LAST, whole[2] / LAST)  # it can see some
    ends = []
    for number, rng in trial.each():
        with trial.attempt(number):
            ranks = 2 if number % SHARED == SHARED - 1 else 1
            work = folder / str(number)
            ends.append(_stop(config, work, ranks, rng, (begin, end)))
            options = _options(ranks, *_workers(rng))
            succeed(
                start(config, work, *options, ranks=ranks, function=resume)
            )
            places = differences(work / LAST, whole[ranks] / LAST)
            assert not places, places[:5]
            # no iteration and no validation is lost or run twice
            assert logged(work) == logged(whole[ranks])
            assert not (work / STOPPED).exists()
    saved = [end for end in ends if end.kind == SAVED]
    within = sum(end.within for end in saved)
    assert trial.done < 20 or (len(saved) > trial.done / 2 and within > 5)
    kinds = Counter(end.kind for end in ends)
    numbers = Counter(end.signum.name for end in saved)
    shown = ', '.join(f'{numbers[s.name]} {s.name}' for s in set(SIGNALS))
    return (
        f'{len(saved)} saved and stopped ({shown}; {within} within an epoch), '
        f'{kinds[EARLY]} before training began, {kinds[LATE]} after its end; '
        'from the signal to the end '
        f'{max((end.used for end in saved), default=0):.1f} s of a processor '
        f'at most, {max((end.passed for end in saved), default=0):.1f} s '
        'with what else ran'
    )


def _options(ranks: int, *more: str) -> tuple[str, ...]:
    return (*OPTIONS, f'train_dataloader.batch_size={2 // ranks}', *more)


def _workers(rng: random.Random) -> list[str]:
    """Options: data workers, that stay or are started for each epoch."""
    options = [f'val_dataloader.num_workers={rng.choice([0, 1])}']
    if rng.random() < 0.6:
        options.append('train_dataloader.num_workers=2')
        stay = rng.random() < 0.5
        options.append(f'train_dataloader.persistent_workers={stay}')
    return options


def _noted(config: Path, work: Path, out: Path) -> int:
    """Train, and note between which seconds of work the loop runs."""
    times = []
    run = ResumableTrainLoop.run

    def timed(loop: ResumableTrainLoop) -> None:
        times.append(time.thread_time())
        run(loop)
        times.append(time.thread_time())

    with mock.patch.object(ResumableTrainLoop, 'run', timed):
        code = train(config, work, *_options(1))
    out.write_text(' '.join(map(str, times)))
    return code


def _stop(
    config: Path,
    work: Path,
    ranks: int,
    rng: random.Random,
    moments: tuple[float, float],
) -> End:
    """Train until a signal comes.

    Args:
        config: Of the training.
        work: Its folder.
        ranks: Number of processes.
        rng: Draws the workers, the signal, who gets it and when.
        moments: Seconds of work at which the loop of one process begins and
            ends.
    """
    signum, group = rng.choice(SIGNALS), rng.random() < 0.5
    options = _options(ranks, *_workers(rng))
    begin, end = moments
    moment = rng.uniform(begin, end)
    victims = [0] if ranks == 1 else rng.choice([[0], [1], [0, 1]])
    children = start(config, work, *options, ranks=ranks)
    first = children[0]
    if ranks > 1:
        # one that is not training yet would end at once, without the other
        while not logged(work) and not first.ends_within(0.05):
            pass
        moment += first.worked() - begin
    first.reaches(moment)
    before = [child.worked() for child in children]
    begun = time.monotonic()
    for rank in victims:
        children[rank].send(signum, group)
    codes = [child.code() for child in children]
    passed = time.monotonic() - begun
    for child in children:
        assert living(child.pid) == []
    if any(code != 128 + signum for code in codes):
        kind = LATE if (work / LAST).exists() else EARLY
        assert kind == LATE or not logged(work), codes
        assert set(codes) <= {0, -signum}, (codes, children[0].printed[-300:])
        assert not (work / STOPPED).exists()
        return End(kind, signum)
    used = max(
        child.used - worked
        for child, worked in zip(children, before, strict=True)
    )
    assert used < LIMIT, f'{used:.1f} s of a processor to the end'
    for child in children:
        assert 'Traceback' not in child.printed
    meta = load(work / STOPPED)['meta']
    done = [line for line in logged(work) if 'loss' in line]
    assert meta['iter'] == len(done), (meta['iter'], len(done))
    within = meta['batches_done'] > 0
    return End(SAVED, signum, within, used, passed)
