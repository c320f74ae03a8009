"""Work that is cut into units, shared by any number of processes.

Symbols used in this file:
    n   pairs of a unit

Units depend on the work alone, never on the number of processes: what a
network says of a pair may differ in the last bit with the pairs that it is
run with, so a unit is run in the same batches wherever and whenever it runs.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .claims import Claims

#: Into how many units a test is cut, as far as ``UNIT_PAIRS`` lets it: 64
#: processes then run 16 units each, give or take one.
UNITS = 1024
#: Fewest and most pairs of a unit, unless a size is asked for: what a killed
#: process loses, and what one file holds.
UNIT_PAIRS = (32, 2048)


class Unit(NamedTuple):
    """Pairs that are run by one process, image after image.

    Attributes:
        queries: (n,) int64.
        images: (n,) int64, ascending; within an image queries ascend.
    """

    queries: np.ndarray
    images: np.ndarray


def unit_size(num_pairs: int) -> int:
    """Pairs of a unit for a test of ``num_pairs``."""
    fewest, most = UNIT_PAIRS
    return min(max(-(-num_pairs // UNITS), fewest), most)


def cut(
    wanted: Mapping[int, np.ndarray], block: int, size: int
) -> Iterator[Unit]:
    """Cut pairs into units of about equal size.

    Queries are taken in blocks. The pairs of a block are sorted by image and
    cut between images, so that each image is read once for a block.

    Args:
        wanted: Query -> (k,) different images.
        block: Queries of a block, at most.
        size: Pairs of a unit, about. A unit is at least one image.
    """
    queries = sorted(wanted)
    for start in range(0, len(queries), block):
        yield from _cut_block(wanted, queries[start : start + block], size)


def _cut_block(
    wanted: Mapping[int, np.ndarray], queries: Sequence[int], size: int
) -> Iterator[Unit]:
    counts = [len(wanted[query]) for query in queries]
    of_query = np.repeat(np.array(queries, np.int64), counts)
    of_image = np.concatenate(
        [np.asarray(wanted[query], np.int64) for query in queries]
    )
    if not len(of_image):
        return
    order = np.lexsort((of_query, of_image))
    of_query, of_image = of_query[order], of_image[order]
    num = max(round(len(of_image) / size), 1)
    starts = np.searchsorted(of_image, of_image)  # of the pair's image
    part = starts * num // len(of_image)
    cuts = np.flatnonzero(np.diff(part)) + 1
    yield from map(Unit, np.split(of_query, cuts), np.split(of_image, cuts))


def run_units(
    files: Sequence[Path],
    run: Callable[[int], None],
    claims: Claims,
    *,
    start: int = 0,
    done: Callable[[int], object] = int,
    waiting: Callable[[int], object] = int,
    poll: float = 1.0,
) -> None:
    """Run units until all are done, by this process or by others.

    Args:
        files: What each unit leaves when it is done.
        run: Called with the number of a unit; writes its file.
        claims: With which this process reserves a unit before it runs it.
        start: The unit to begin with. Processes that begin in different
            places run units that are neighbours, and reuse what they read.
        done: Told the number of each unit whose file is there.
        waiting: Told how many units others are still running.
        poll: Seconds between looking for the files of others.
    """
    left = list(range(len(files)))
    left = left[start:] + left[:start]
    while left:
        later, active = [], False
        for number in left:
            file = files[number]
            if not file.exists():
                if not claims.take(file.stem):
                    later.append(number)
                    continue
                try:
                    if not file.exists():  # done just before the claim
                        active = True
                        run(number)
                finally:
                    claims.release(file.stem)
            done(number)
        left = later
        if left and not active:
            waiting(len(left))
            time.sleep(poll)
