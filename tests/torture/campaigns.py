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
        minutes=90,
    ),
    'signals': Campaign(
        'A training that gets SIGTERM, SIGUSR1 or SIGINT at any moment saves, '
        'ends with the documented exit code and resumes where it was.',
        '0 iterations lost, end within 10 s, no process left, every value of '
        'the last checkpoint equal to the bit',
        cases=50,
        minutes=90,
    ),
    'resume': Campaign(
        'A training that is stopped behind or within an epoch and resumed '
        'equals the unbroken one, for every network, with any number of data '
        'workers, moving averages, bfloat16 and two processes.',
        '0 of all values of the last checkpoint differ; the same seed with '
        'other workers gives the same SHA-256',
        cases=48,
        minutes=90,
    ),
    'ranks': Campaign(
        'Two or three processes that share a batch learn what one learns '
        'from all of it: OIM, KD_det, KD_reid, QEEPS, NAE, SeqNet.',
        'weights within 1e-6; table, queue and its position the same to the '
        'bit on all processes',
        cases=21,
        minutes=60,
    ),
    'launches': Campaign(
        'A training of two processes ends, and ends well, whenever it is '
        'launched.',
        '50 of 50 with exit code 0, no process left, no word of an error',
        cases=50,
        minutes=90,
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
