"""Signals that ask a run to stop: remembered, and agreed on by all ranks."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size

#: ``kill`` and schedulers, Slurm's ``--signal=USR1@120``, Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
#: Seconds in which a signal that comes twice is one signal: launchers hand on
#: what their processes may have got already, as members of a group.
SAME_SIGNAL = 2.0


class Interrupted(SystemExit):
    """A run that a signal stopped, where it can go on.

    A ``SystemExit``: a program that does not catch it ends without a
    traceback. Its exit ``code`` is 128 + the number of the signal, as shells
    have it: 143 for SIGTERM, 138 for SIGUSR1, 130 for SIGINT (Ctrl-C).
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.name = signal.Signals(signum).name

    def leave(self) -> NoReturn:
        """End the process at once, its data workers with it.

        What had to be written is written; taking a process group and data
        workers apart could take long, or hang.
        """
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code)


@contextmanager
def handled(handler: Callable) -> Iterator[None]:
    """Have ``handler(signum, frame)`` called when one of SIGNALS comes.

    Those that are ignored stay ignored. Outside the main thread, where Python
    does not allow handlers, all is left as it is.
    """
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    before[signum] = signal.signal(signum, handler)
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous or signal.SIG_DFL)


class SignalWatch:
    """Remembers the first signal that comes during ``watching``.

    The same signal again, ``SAME_SIGNAL`` seconds later or more, has its
    default effect: the process ends at once.

    Attributes:
        at_once: A signal raises ``Interrupted`` where it arrives, since there
            is nothing to finish.
    """

    def __init__(self) -> None:
        self.at_once = False
        self._first = 0
        self._seen: dict[int, float] = {}
        self._owner = os.getpid()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch, having seen nothing yet."""
        self._first, self._seen, self._owner = 0, {}, os.getpid()
        with handled(self._handle):
            yield

    def agreed(self) -> int:
        """Number of the signal to stop for, the same on all ranks; or 0.

        All ranks call this at the same point. One number is reduced over
        them, since a signal may reach a single rank; one process does
        without.
        """
        if get_world_size() == 1:
            return self._first
        highest = torch.tensor(self._first, dtype=torch.int32)
        all_reduce(highest, 'max')
        return int(highest)

    def _handle(self, signum: int, frame) -> None:
        if os.getpid() != self._owner:
            return  # a data worker that has just been forked
        now = time.monotonic()
        if now - self._seen.setdefault(signum, now) >= SAME_SIGNAL:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(self._owner, signum)
        if not self._first:
            self._first = signum
            if get_rank() == 0:
                # not print: the signal may have come in the middle of one
                name = signal.Signals(signum).name
                note = f'\n{name}: saving, then stopping; repeat to end now\n'
                os.write(2, note.encode())
        if self.at_once:
            raise Interrupted(self._first)
