"""What to say beside a result: whether it can be believed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmps.evaluation.features import iou

from .matches import Match

if TYPE_CHECKING:  # what is exported runs without a zoo
    from mmps.zoo import Entry

#: Overlap (IoU) from which on a detection is the person of the query box.
SAME_PERSON = 0.5
#: How the names of synthetic data begin in the zoo.
SYNTHETIC = 'synth'


def about_training(entry: 'Entry | None') -> str | None:
    """That a network knows synthetic people alone; None if it does not.

    Args:
        entry: Entry of the zoo, None for weights of one's own.
    """
    if entry is None or not entry.is_synthetic:
        return None
    return about_synthetic(entry.name, entry.metadata['Training Data'])


def about_synthetic(network: str, data: str | None) -> str | None:
    """That a network knows synthetic people alone; None if it does not.

    Args:
        network: Its name.
        data: What it was trained on, as the zoo names it; None if that is
            not known.
    """
    if data is None or not data.startswith(SYNTHETIC):
        return None
    return (
        f'{network} was trained on synthetic people ({data}) alone: in '
        'photographs it misses people and takes tripods for them'
    )


def about_query(box: Sequence[float], people: np.ndarray) -> str | None:
    """That the query box shows nobody; None if it shows somebody.

    Args:
        box: x1, y1, x2, y2 of the query.
        people: (N, 4) of all that are detected in its picture.
    """
    best = max(iou(people, np.asarray(box)), default=0.0)
    if best >= SAME_PERSON:
        return None
    return (
        'the network sees nobody in the query box (the best overlap with '
        f'anybody is {best:.2f}, expected {SAME_PERSON} or more), so '
        'similarities mean little; --pick shows whom it sees'
    )


def about_matches(
    matches: Sequence[Match], threshold: float | None
) -> str | None:
    """That nobody is similar enough; None if somebody is.

    Args:
        matches: Best first.
        threshold: Similarity from which on two people are the same; None if
            it is not known.
    """
    if not matches or threshold is None:
        return None
    best = matches[0].similarity
    if best >= threshold:
        return None
    return (
        f'nobody is as similar as {threshold:.3f}, from which on this network '
        f'calls two people the same (the best is {best:.3f}): the person is '
        'probably not there'
    )
