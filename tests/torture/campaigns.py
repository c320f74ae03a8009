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
        goes_on: Whether a later run may do what is left of an earlier one:
            all that it saw is in its figures.
    """

    promise: str
    reach: str
    cases: int
    minutes: float
    goes_on: bool = False


CAMPAIGNS = {
    'by_tests': Campaign(
        'Promises that tests of the suite hold.',
        'all of them pass',
        len([row for row in ROWS.values() if row.tests]),
        40,
        goes_on=True,
    ),
    'suite': Campaign(
        'No test is flaky: the suite passes each time, also beside other '
        'programs.',
        '20 of 20 runs without a failure, 5 of them beside a competing load',
        20,
        600,
        goes_on=True,
    ),
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
    'onnx_files': Campaign(
        'A damaged file of an exported network is refused with an InputError '
        'that names it, or read value for value.',
        '0 of 1,500 accepted and wrong, 0 other errors; without the seal of '
        'mmps export, 0 other errors',
        1500,
        10.0,
    ),
    'packed': Campaign(
        'No archive writes a file when it is read as a checkpoint, a table, a '
        'dump or an index, and none takes more than 200 MB or a second.',
        '0 files written in 1,000 archives',
        1000,
        10.0,
    ),
    'hostile': Campaign(
        'Nothing in a file of a stranger is run, and none takes more than a '
        'second: checkpoints, also over http, with their config text, '
        'safetensors, dumps, indexes, exported networks, metafiles, archives.',
        '0 executions in 2,400 files',
        2400,
        15.0,
    ),
    'downloads': Campaign(
        'A download gives the right file or a clear error, goes on where it '
        'was cut, and never leaves a wrong file in the cache.',
        '0 wrong files in 440 downloads',
        440,
        15.0,
    ),
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
        'memory grows by less than 1 %, no more open files',
        5000,
        30,
    ),
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
