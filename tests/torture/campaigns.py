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
    'checkpoints': Campaign(
        'A damaged checkpoint, weights file or lookup table is refused with a '
        'CheckpointError, or read value for value.',
        '0 of 6,000 accepted and wrong, 0 other errors',
        6000,
        15.0,
    ),
    'dumps': Campaign(
        'A damaged feature dump, gallery index or file of pair findings is '
        'refused with a ValueError that names it, or read value for value.',
        '0 of 2,500 accepted and wrong, 0 other errors',
        2500,
        10.0,
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
