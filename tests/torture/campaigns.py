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
    'operators': Campaign(
        'NMS and RoIAlign are what their rules say, on any input.',
        'identical indices; values and gradients to 1e-6',
        10_000,
        15,
    ),
    'export_parity': Campaign(
        'An exported network finds what the network finds, in pictures of '
        'any size.',
        'embeddings to 1e-4, the same ranking',
        50,
        30,
    ),
    'soak': Campaign(
        'Reading training data, searching, indexes and archives leak nothing.',
        'memory grows by less than 1 %, no open files or threads more',
        5000,
        30,
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
