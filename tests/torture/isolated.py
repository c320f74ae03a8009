"""A forked process that answers calls, and may die of one."""

import logging
import multiprocessing
import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What became of a call.

    Attributes:
        result: What was returned.
        problem: Why nothing was; '' if something was.
    """

    result: Any = None
    problem: str = ''


class Isolated:
    """Calls a function in a process of its own, forked when it is needed.

    What was imported and built before is there in it, and what a call changes
    there stays there. What it writes to stderr is lost: C libraries complain
    there about every broken file.

    Args:
        function: Its arguments and results are pickled.
        patience: Seconds of the processor that an answer may take, and a
            twentieth of how long it is waited for: machines are loaded.
    """

    def __init__(
        self, function: Callable[..., Any], patience: float = 30
    ) -> None:
        self._function, self.patience = function, patience
        self._process = self._pipe = None

    def __enter__(self) -> 'Isolated':
        return self

    def __exit__(self, *error) -> None:
        self._end()

    def __call__(self, calls: Sequence[tuple]) -> Iterator[Answer]:
        """Make calls, one after the other.

        They are sent together, so that no process waits for the other.

        Args:
            calls: Arguments of each.

        Yields:
            An answer for each. After one that the process did not survive,
            the next call gets a new process.
        """
        left = deque(calls)
        while left:
            if self._process is None:
                self._fork()
            self._pipe.send(list(left))
            while left and self._process is not None:
                left.popleft()
                yield self._answer()

    def _answer(self) -> Answer:
        if not self._answers_in_time():
            self._end()
            return Answer(problem=f'no answer in {self.patience:g} s')
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            number = self._process.exitcode
            self._end()
            return Answer(problem=f'the process ended with {number}')

    def _answers_in_time(self) -> bool:
        end = time.monotonic() + 20 * self.patience
        most = self._seconds() + self.patience
        while not self._pipe.poll(min(1, self.patience)):
            if self._seconds() > most or time.monotonic() > end:
                return False
        return True

    def _seconds(self) -> float:
        """That the process has had of the processor (Linux)."""
        text = Path(f'/proc/{self._process.pid}/stat').read_text()
        ticks = text.rpartition(')')[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf('SC_CLK_TCK')

    def _fork(self) -> None:
        context = multiprocessing.get_context('fork')
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(theirs, self._pipe, self._function),
            daemon=True,
        )
        self._process.start()
        theirs.close()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = self._pipe = None


def _serve(pipe, others, function: Callable[..., Any]) -> None:
    others.close()
    with quiet():
        while True:
            try:
                calls = pipe.recv()
            except EOFError:
                return
            for args in calls:
                try:
                    answer = Answer(function(*args))
                except Exception:
                    answer = Answer(problem=traceback.format_exc()[-300:])
                pipe.send(answer)


@contextmanager
def quiet() -> Iterator[None]:
    """Lose what is logged or written to stderr, by C libraries, too."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
