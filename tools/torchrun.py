"""torchrun for the dist_*.sh beside it: it ends as its processes did.

When a signal stops training, torchrun itself ends with 1 and prints two
tracebacks. Here the exit code is that of tools/train.py: 128 + the number of
the signal, or 2 after a mistake, which the process has explained. SIGUSR1,
too, is handed on to the processes.
"""

import signal
import sys

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

MISTAKE = 2  # of mmps.commands
STOPPED = {
    128 + signum for signum in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
}


def hand_on(signum: int, frame) -> None:
    """Do as torchrun does with SIGTERM."""
    raise SignalException(f'got {signum}', signal.Signals(signum))


if __name__ == '__main__':
    signal.signal(signal.SIGUSR1, hand_on)
    try:
        main()
    except SignalException as stop:
        sys.exit(128 + stop.sigval)
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        codes = {code if code >= 0 else 128 - code for code in codes}
        if not codes <= STOPPED | {MISTAKE}:
            raise
        sys.exit(MISTAKE if MISTAKE in codes else max(codes))
