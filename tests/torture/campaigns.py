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
    'pictures': Campaign(
        promise='A broken picture is refused by its name, or read with the '
        'same pixels, by everything that reads pictures.',
        reach='10,000 pictures: readers agree on each, none crashes, takes '
        'more than 1 s or 200 MB beside the pixels',
        cases=10_000,
        minutes=90,
    ),
    'annotations': Campaign(
        promise='A broken annotation file or metafile is refused by its '
        'name, or what is read is sound.',
        reach='10,000 files: the documented error alone, at most 1 s and '
        '200 MB; boxes are finite and in reach',
        cases=10_000,
        minutes=90,
    ),
    'requests': Campaign(
        promise='No request makes the page show a file of somebody else, '
        'write one, or stop.',
        reach='500 requests: no file outside of its folder, a good request '
        'is answered after each, open files stay flat',
        cases=500,
        minutes=30,
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
