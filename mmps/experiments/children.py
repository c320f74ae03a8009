"""Tools that a runner starts, and the signals that it hands on to them.

Left alone, ``subprocess.run`` kills a training a quarter of a second after
Ctrl-C, before it has saved, and a runner that gets SIGTERM leaves it behind.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mmps.engine.interruption import SIGNALS, handled

#: Exit codes of a tool that a signal stopped.
STOPPED = {128 + signum: signum.name for signum in SIGNALS}


class Children:
    """Runs programs, from any thread; a signal stops all of them."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen] = set()
        self._signum = 0

    @contextmanager
    def handing_on_signals(self) -> Iterator[None]:
        """Hand signals on to what runs, and start nothing more.

        A tool that saves and ends is waited for. Entered in the main thread.
        """
        with handled(self._hand_on):
            yield

    def run(self, command: Sequence[str], **options) -> int:
        """Run a program to its end.

        Args:
            command: Program and arguments.
            options: Handed to ``subprocess.Popen``, such as ``env`` or
                ``cwd``.

        Returns:
            Its exit code; 128 + the number of the signal that killed it.

        Raises:
            SystemExit: A signal has come before.
        """
        if self._signum:
            raise SystemExit(128 + self._signum)
        with subprocess.Popen(command, **options) as child:
            self._running.add(child)
            if self._signum:  # it came just now, and missed this one
                child.send_signal(self._signum)
            code = child.wait()
            self._running.discard(child)
        return code if code >= 0 else 128 - code

    def _hand_on(self, signum: int, frame) -> None:
        self._signum = signum
        for child in tuple(self._running):
            child.send_signal(signum)


#: Of this process.
CHILDREN = Children()
