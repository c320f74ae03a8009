"""The campaigns: each is a module of this folder with ``attack(trial)``."""

from dataclasses import dataclass
from importlib import import_module

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


CAMPAIGNS: dict[str, Campaign] = {
    'kills': Campaign(
        'A training that is killed (kill -9) at any moment, also while it '
        'writes a checkpoint, resumes and ends as if it had not been.',
        '100 of 100 resume, every value of the checkpoint equal to the bit; '
        'at most one epoch is lost, no file is truncated, none is left over',
        cases=100,
        minutes=40,
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
