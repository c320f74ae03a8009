"""What an attack gets, and where it says what it did and what broke."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

T = TypeVar('T')


@dataclass
class Trial:
    """One run of a campaign.

    Attributes:
        seed: Of everything that is random.
        cases: How many are to run.
        folder: Empty, for its files.
        minutes: After these no case begins.
        only: Number of the one case to run.
        done: How many ran, those of an earlier run that goes on among them.
        broken: Number and description of each case that broke the promise.
        figures: What was seen of single promises, by the row's number, or
            of single cases.
        on_case: Called behind each case.
    """

    seed: int
    cases: int
    folder: Path
    minutes: float
    only: int | None = None
    done: int = 0
    broken: list[tuple[int, str]] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    on_case: Callable[[], None] = lambda: None
    _begun: float = field(default_factory=time.monotonic)

    def each(self) -> Iterator[tuple[int, random.Random]]:
        """Yield the cases while there is time: number and randomness.

        A case has the same randomness in every run, alone too.
        """
        numbers = [self.only]
        if self.only is None:
            numbers = range(self.done, self.cases)
        for number in numbers:
            if time.monotonic() - self._begun > 60 * self.minutes:
                return
            yield number, random.Random(f'{self.seed}/{number}')
            self.done += 1
            self.on_case()

    def attempt(self, number: int) -> '_Attempt':
        """Context of one case: any exception breaks the promise."""
        return _Attempt(self, number)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The same items in lists of ``size``; the last one may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


class _Attempt:
    def __init__(self, trial: Trial, number: int) -> None:
        self._trial = trial
        self._number = number

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        while trace.tb_next is not None:
            trace = trace.tb_next
        code = trace.tb_frame.f_code
        where = f'{Path(code.co_filename).name}:{trace.tb_lineno}'
        text = f'{kind.__name__} at {where}: {error}'
        self._trial.broken.append((self._number, text[:400]))
        return True
