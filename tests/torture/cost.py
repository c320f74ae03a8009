"""What a case costs this process: processor time and memory (Linux)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cost:
    """What something took.

    Attributes:
        seconds: Of the processor; a loaded machine changes them little.
        mb: By which this process had more memory than before, at its peak.
    """

    seconds: float = 0.0
    mb: float = 0.0


@contextmanager
def cost() -> Iterator[Cost]:
    """Context that measures; what it yields is filled at its end."""
    spent = Cost()
    Path('/proc/self/clear_refs').write_text('5')  # forgets the last peak
    before, begun = _peak(), time.process_time()
    try:
        yield spent
    finally:
        spent.seconds = time.process_time() - begun
        spent.mb = _peak() - before


def _peak() -> float:
    text = Path('/proc/self/status').read_text()
    return int(text.split('VmHWM:')[1].split()[0]) / 1024
