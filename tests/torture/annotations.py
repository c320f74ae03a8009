"""Broken annotation files go through everything that reads such files."""

import random
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mmps.errors import InputError

from .annotation_sources import Source, broken, sources
from .cost import cost
from .isolated import Isolated
from .trial import Trial, batches

#: Of the readers of a case: seconds of the processor, and MB.
SECONDS, MB = 1.0, 200
#: `mmps check` reads one case of so many, too; so many cases are sent to the
#: process at a time.
CHECKED, BATCH = 4, 50


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        accepted: What was read, as text; None if it was refused.
        message: Why it was refused.
        problems: What `mmps check` found wrong; None if it was not run.
        seconds: Of the processor.
        mb: Of memory, at its peak.
    """

    accepted: str | None
    message: str
    problems: list[str] | None
    seconds: float
    mb: float


def attack(trial: Trial) -> str:
    """See the module; files are read in a process that may die of them."""
    known = sources(trial.folder)

    def read(name: str, file: Path, data: bytes, check: bool) -> Outcome:
        # such as a value that no number of its kind is
        warnings.simplefilter('error', RuntimeWarning)
        before = file.read_bytes()
        try:
            file.write_bytes(data)
            return _read(known[name], check)
        finally:
            file.write_bytes(before)

    with Isolated(read) as child:
        unbroken = _unbroken(known, child)
        seen: Counter = Counter()
        slowest = largest = 0.0
        for batch in batches(trial.each(), BATCH):
            calls = [_call(known, rng) for _, rng in batch]
            for (number, _), (name, file, *_), answer in zip(
                batch, calls, child(calls), strict=True
            ):
                with trial.attempt(number):
                    what, found = f'{name}, {file.name}', answer.result
                    assert not answer.problem, f'{what}: {answer.problem}'
                    slowest = max(slowest, found.seconds)
                    largest = max(largest, found.mb)
                    state = _state(found, unbroken[name], known[name].root)
                    seen[name, state] += 1
                    assert found.seconds < SECONDS, f'{what}: {found.seconds}'
                    assert found.mb < MB, f'{what}: {found.mb:.0f} MB'
    total: Counter = Counter()
    for (_, state), times in seen.items():
        total[state] += times
    if trial.only is None and trial.done > 100 * len(known):
        for name in known:
            for state in ('refused', 'accepted', 'equal'):
                assert seen[name, state], f'{name}: none was {state}'
    return (
        f'{total["refused"]:,} refused, {total["accepted"]:,} read with other '
        f'values, {total["equal"]:,} read as before; slowest '
        f'{slowest:.2f} s, {largest:.0f} MB'
    )


def _call(
    known: dict[str, Source], rng: random.Random
) -> tuple[str, Path, bytes, bool]:
    name = rng.choice(list(known))
    file = rng.choice(known[name].files)
    return name, file, broken(file, rng), rng.randrange(CHECKED) == 0


def _unbroken(known: dict[str, Source], child: Isolated) -> dict[str, Outcome]:
    """What is read where nothing is wrong."""
    files = {name: source.files[0] for name, source in known.items()}
    calls = [(n, file, file.read_bytes(), True) for n, file in files.items()]
    found = {}
    for name, answer in zip(known, child(calls), strict=True):
        assert not answer.problem, f'{name}: {answer.problem}'
        found[name] = answer.result
        assert found[name].accepted is not None, found[name].message
        assert not found[name].problems, found[name].problems
    return found


def _read(source: Source, check: bool) -> Outcome:
    accepted, message, problems = None, '', None
    with cost() as spent:
        try:
            accepted = source.read()
        except InputError as error:
            message = str(error)
        if check and source.check is not None:
            try:
                problems = source.check()
            except InputError as error:
                problems = [str(error)]
    return Outcome(accepted, message, problems, spent.seconds, spent.mb)


def _state(outcome: Outcome, unbroken: Outcome, root: Path) -> str:
    for text in (outcome.message, *(outcome.problems or [])):
        text.encode()  # else it could not be printed
    if outcome.accepted is None:
        own = 'the source: has'  # nothing is left to be split
        named = str(root) in outcome.message or own in outcome.message
        assert named, f'names no file: {outcome.message}'
        assert outcome.problems != [], 'mmps check finds nothing wrong'
        return 'refused'
    return 'equal' if outcome.accepted == unbroken.accepted else 'accepted'
