"""Damaged files, and what becomes of those who read them."""

import logging
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .trial import Trial

#: No reader may take more processor time, or memory, for a small file.
SECONDS, MEGABYTES = 1.0, 200
#: Characters of a message.
LONGEST = 2000
#: What lies where a file should be.
NO_FILES = (
    *(b'', b'\0', b'\0' * 4096, b'PK\x05\x06' + b'\0' * 18),
    *(b'<!doctype html><title>404</title>', b'{}\n', b'\xff' * 777),
    b'version https://git-lfs.github.com/spec/v1\n',
)
#: Bytes at either end that are hit more often: most formats describe
#: themselves there.
_END = 400


def damaged(
    content: bytes, others: Sequence[bytes], rng: random.Random
) -> bytes:
    """Other bytes, made of these.

    Args:
        content: Of the file.
        others: Contents of other files.
        rng: Decides what happens to it.
    """
    while True:
        change = rng.choice(_CHANGES)
        found = change(content, others, rng)
        if found != content:
            return found


def _place(content: bytes, rng: random.Random) -> int:
    first, last = 0, len(content) - 1
    where = rng.random()
    if where < 0.25:
        last = min(last, _END)
    elif where < 0.5:
        first = max(0, last - _END)
    return rng.randint(first, last)


def _block(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = _place(content, rng)
    return start, min(len(content), start + int(2 ** rng.uniform(0, 11)))


def _flipped(content, others, rng) -> bytes:
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 5, 16))):
        found[_place(content, rng)] ^= 1 << rng.randrange(8)
    return bytes(found)


def _cut(content, others, rng) -> bytes:
    return content[: _place(content, rng)]


def _beheaded(content, others, rng) -> bytes:
    return content[_place(content, rng) :]


def _removed(content, others, rng) -> bytes:
    start, stop = _block(content, rng)
    return content[:start] + content[stop:]


def _inserted(content, others, rng) -> bytes:
    start, stop = _block(content, rng)
    place = _place(content, rng)
    block = _filling(content, others, rng, stop - start)
    return content[:place] + block + content[place:]


def _overwritten(content, others, rng) -> bytes:
    start, stop = _block(content, rng)
    block = _filling(content, others, rng, stop - start)
    return content[:start] + block + content[start + len(block) :]


def _swapped(content, others, rng) -> bytes:
    one, two = sorted(_place(content, rng) for _ in range(2))
    size = min(int(2 ** rng.uniform(0, 11)), two - one, len(content) - two)
    between = content[one + size : two]
    first, second = content[one : one + size], content[two : two + size]
    return content[:one] + second + between + first + content[two + size :]


def _filling(content, others, rng, size: int) -> bytes:
    source = rng.choice((content, *others, b'\0', None))
    if source is None:
        return rng.randbytes(size)
    if len(source) <= size:
        return (source * size)[:size]
    start = rng.randrange(len(source) - size)
    return source[start : start + size]


def _replaced(content, others, rng) -> bytes:
    return rng.choice((*NO_FILES, *others))


def _joined(content, others, rng) -> bytes:
    """With another file, or itself damaged, before or behind it."""
    other = rng.choice((*NO_FILES, *others, _flipped(content, others, rng)))
    return rng.choice((other + content, content + other))


_CHANGES = (
    *(_flipped, _flipped, _flipped, _cut, _beheaded, _removed),
    *(_inserted, _overwritten, _swapped, _replaced, _joined),
)


@dataclass(frozen=True)
class Subject:
    """A file that is to be damaged.

    Attributes:
        path: Where its reader finds it.
        content: Before that.
        read: Reads the path; returns something that ``==`` compares.
        known: Whether no other bytes are accepted at all.
        checked: Whether the format has anything to notice wrong values by.
    """

    path: Path
    content: bytes
    read: Callable[[Path], object]
    known: bool = False
    checked: bool = True


class Tally:
    """What came of damaged files.

    Attributes:
        kinds: Of the files.
        refused: Kind -> how many were refused.
        right: Kind -> how many were accepted, and right.
        whole: How many were another file, whole, and read as that.
        unnoticed: How many gave wrong values, of formats without checksums.
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        self.kinds = list(kinds)
        self.refused, self.right = Counter(), Counter()
        self.whole = self.unnoticed = 0
        self.slowest, self.grown = 0.0, 0.0

    def __str__(self) -> str:
        refused, right = self.refused.total(), self.right.total()
        return (
            f'{refused:,} refused, {right:,} still right, {self.whole:,} were '
            f'another whole file; slowest {self.slowest:.2f} s, '
            f'{self.grown:.0f} MB more than before'
        )


def look_at_all(
    trial: Trial, subjects: Mapping[str, Subject], error: type[Exception]
) -> Tally:
    """Have damaged files of each kind read, in turn.

    A reader may take a whole file of another kind for what it is, if it can
    read it; all else is refused, or gives what the undamaged file gives.

    Args:
        trial: Keeps what broke.
        subjects: By kind.
        error: The one documented error.
    """
    expected = {}
    for kind, subject in subjects.items():
        subject.path.write_bytes(subject.content)
        expected[kind] = subject.read(subject.path)
    kinds, tally = list(subjects), Tally(subjects)
    others = [each.content for each in subjects.values()]
    for number, rng in trial.each():
        kind = kinds[number % len(kinds)]
        subject = subjects[kind]
        content = damaged(subject.content, others, rng)
        subject.path.write_bytes(content)
        with trial.attempt(number), limits(kind) as spent:
            try:
                found = subject.read(subject.path)
            except error as refusal:
                tally.refused[kind] += 1
                _check_message(refusal, subject.path)
            else:
                assert not subject.known, f'{kind}: other bytes accepted'
                if found == expected[kind]:
                    tally.right[kind] += 1
                elif content in others:
                    tally.whole += 1
                else:
                    assert not subject.checked, f'{kind}: wrong values'
                    tally.unnoticed += 1
        tally.slowest = max(tally.slowest, spent.seconds)
        tally.grown += spent.megabytes
    return tally


def _check_message(error: Exception, path: Path) -> None:
    text = str(error)
    assert path.name in text, f'names no file: {text}'
    assert len(text) < LONGEST, f'{len(text)} characters: {text[:99]}...'


@dataclass
class Spent:
    """Processor time and memory that a case took."""

    seconds: float = 0.0
    megabytes: float = 0.0


@contextmanager
def limits(what: str) -> Iterator[Spent]:
    """Measure what is done inside, and assert that it was bounded."""
    spent = Spent()
    begun, before = time.process_time(), _memory()
    try:
        yield spent
    finally:
        spent.seconds = time.process_time() - begun
        spent.megabytes = _memory() - before
    assert spent.seconds < SECONDS, f'{what}: {spent.seconds:.2f} s'
    assert spent.megabytes < MEGABYTES, f'{what}: {spent.megabytes:.0f} MB'


@contextmanager
def quiet() -> Iterator[None]:
    """Without lines of mmengine and mmps for each file that is read."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _memory() -> float:
    """MB, the most that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
