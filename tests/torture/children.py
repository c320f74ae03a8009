"""Processes that an attack may end, forked from a campaign.

The campaign imports everything once; a child of it begins to work at once. It
leads a session of its own, with the workers that it starts.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
import traceback
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

#: Seconds after which a child that should have ended is killed.
PATIENCE = 300
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


class Child:
    """A function that runs in a process of its own.

    Args:
        function: What it returns is the exit code; None is 0. An exception
            is printed, and 1.
        args: Of the function.
        log: File that gets what it prints.
        environment: Variables that it has beside those of this process.
        to_the_end: Take the interpreter apart at the end, as a program that
            returns does; else the process ends where the function does.

    Attributes:
        pid: Of the process, and of its session.
        used: Seconds of a processor that it and its workers used, once it
            has ended.
    """

    def __init__(
        self,
        function: Callable[..., int | None],
        *args: Any,
        log: Path,
        environment: Mapping[str, str] | None = None,
        to_the_end: bool = False,
    ) -> None:
        self._log = log
        self._code: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            self._ended = os.pidfd_open(self.pid)
            return
        end = _finish if to_the_end else os._exit
        for finalizer in list(weakref.finalize._registry):
            finalizer.atexit = False  # temporary folders of the campaign
        try:
            os.setsid()
            # a campaign that is killed leaves none
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
            _write_to(log)
            for signum in (signal.SIGTERM, signal.SIGUSR1):
                signal.signal(signum, signal.SIG_DFL)
            # as a program begins, but those that run in the background
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.environ.update(environment or {})
            code = function(*args) or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        end(code)

    @property
    def printed(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors='replace')

    def worked(self) -> float:
        """Seconds of a processor that its main thread has used."""
        try:
            text = Path(f'/proc/{self.pid}/schedstat').read_text()
        except (FileNotFoundError, ProcessLookupError):
            return float('inf')
        return int(text.split()[0]) / 1e9

    def ends_within(self, seconds: float) -> bool:
        """Wait; whether it has ended."""
        if self._code is not None:
            return True
        if not select.select([self._ended], [], [], seconds)[0]:
            return False
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self._ended)
        self.used = usage.ru_utime + usage.ru_stime
        self._code = os.waitstatus_to_exitcode(status)
        return True

    def code(self, seconds: float = PATIENCE) -> int:
        """Wait for its exit code: minus the signal if one ended it.

        Raises:
            TimeoutError: It was still there, and was killed.
        """
        if not self.ends_within(seconds):
            self.send(signal.SIGKILL)
            self.ends_within(PATIENCE)
            raise TimeoutError(
                f'no end after {seconds:g} s: {self.printed[-300:]}'
            )
        return self._code

    def send(self, signum: int, group: bool = False) -> None:
        """Send a signal, to its workers too if ``group``."""
        if self._code is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, signum)
            else:
                os.kill(self.pid, signum)

    def reaches(self, seconds: float) -> bool:
        """Wait until it has worked so long; False if it ended before."""
        while (worked := self.worked()) < seconds:
            # a loaded computer gives it less than the time that passes
            if self.ends_within(max(0.001, (seconds - worked) / 2)):
                return False
        return not self.ends_within(0)


def living(session: int, seconds: float = 5) -> list[int]:
    """Processes of a session that do not end within some seconds."""
    deadline = time.monotonic() + seconds
    while (found := _members(session)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _members(session: int) -> list[int]:
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            words = (folder / 'stat').read_text().rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(words[3]) == session and words[0] != 'Z':
            found.append(int(folder.name))
    return found


def _write_to(log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    sys.stdout = sys.stderr = os.fdopen(1, 'w', closefd=False)


def _finish(code: int) -> NoReturn:
    ctypes.pythonapi.Py_Exit(code)
