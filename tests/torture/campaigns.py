"""The campaigns: each is a module of this folder with ``attack(trial)``."""

from dataclasses import dataclass
from importlib import import_module

from .rows import ROWS
from .trial import Trial


@dataclass(frozen=True)
class Campaign:
    """An attack on one promise.

    Attributes:
        promise: One sentence, as docs/reliability.md shows it.
        reach: The figure that keeps it.
        cases: How many a whole run has.
        minutes: After these, what is left of them does not begin.
    """

    promise: str
    reach: str
    cases: int
    minutes: float


CAMPAIGNS = {
    'by_tests': Campaign(
        'Promises that tests of the suite hold.',
        'all of them pass',
        len([row for row in ROWS.values() if row.tests]),
        40,
    ),
    'suite': Campaign(
        'No test is flaky: the suite passes each time, also beside other '
        'programs.',
        '20 of 20 runs without a failure, 5 of them beside a competing load',
        20,
        600,
    ),
}


def attack(name: str, trial: Trial) -> str:
    """Run a campaign.

    Args:
        name: In ``CAMPAIGNS``.
        trial: Keeps what was done and what broke.

    Returns:
        What was seen beside that, for a reader.
    """
    return import_module(f'{__package__}.{name}').attack(trial)
