"""From which similarity on a network calls two people the same.

A cosine of 0.7 is much for one network and nothing for another. What it is
worth shows on a test set: how many detections of somebody else reach it.
"""

import math
from typing import NamedTuple

import numpy as np

from .rankings import Search

#: Share of the detections of other people that pass for a match.
FALSE_RATE = 0.01


class MatchThreshold(NamedTuple):
    """A similarity, and what it lets through.

    Attributes:
        similarity: Pairs that are at least so similar are called matches.
        num_false: Detections of others that are.
        num_others: Detections of others, each query's gallery counted.
        num_true: True positives that are.
        num_gt: Gallery entries that show the person of their query.
    """

    similarity: float
    num_false: int
    num_others: int
    num_true: int
    num_gt: int


def match_threshold(
    search: Search,
    protocol: str | None = None,
    false_rate: float = FALSE_RATE,
) -> MatchThreshold:
    """The smallest similarity that few enough detections of others reach.

    All pairs of a query and a detection of its gallery count alike. The share
    of others does not depend on the size of the gallery, as the similarity
    with the best F1 does.

    Args:
        search: What a test has found.
        protocol: Name of the protocol; its first one for None.
        false_rate: Largest share of the detections of others, in (0, 1).

    Raises:
        ValueError: No protocol, or a gallery without a detection of others.
    """
    name = next(iter(search.protocols), None) if protocol is None else protocol
    if name not in search.protocols:
        raise ValueError(
            f'no protocol {name!r} in this search; it has: '
            f'{", ".join(search.protocols) or "none"}'
        )
    right, wrong, num_gt = [], [], 0
    for position in range(len(search.protocols[name].queries)):
        ranking = search.ranking(name, position)
        right.append(ranking.similarity[ranking.is_right])
        wrong.append(ranking.similarity[~ranking.is_right])
        num_gt += ranking.num_gt
    others = -np.sort(-np.concatenate([np.zeros(0), *wrong]))
    if not len(others):
        raise ValueError(
            f'{name}: no detection shows anybody else than the query, so it '
            'cannot be told who is similar by chance'
        )
    # what follows the last one that may pass: ties pass together or not at all
    allowed = math.floor(false_rate * len(others))
    limit = np.nextafter(others[min(allowed, len(others) - 1)], np.inf)
    true = np.concatenate([np.zeros(0), *right])
    return MatchThreshold(
        float(limit),
        int(np.count_nonzero(others >= limit)),
        len(others),
        int(np.count_nonzero(true >= limit)),
        num_gt,
    )
