"""Who appears where: what the plans of both layouts share.

A plan is plain data, made before anything is drawn; the counts of a data set
are counts of its plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmps.structures import UNLABELED


@dataclass(frozen=True)
class Picture:
    """One picture to be drawn.

    Attributes:
        name: File name.
        width: Pixels.
        height: Pixels.
        people: Identity of each person, or ``UNLABELED``, in the order of
            the annotation.
        camera: Number of a fixed camera; -1 for a place of its own.
    """

    name: str
    width: int
    height: int
    people: tuple[int, ...]
    camera: int = -1


@dataclass(frozen=True)
class Part:
    """Counts of the training or of the test half.

    Attributes:
        pictures: Number of pictures.
        identities: Number of identities.
        labelled: Boxes with identity.
        unlabelled: Boxes without.
        empty: Pictures without a labelled box.
        fewest, most: Appearances of an identity.
        single: Identities with one appearance, besides what chance gives.
    """

    pictures: int
    identities: int
    labelled: int
    unlabelled: int
    empty: int
    fewest: int
    most: int
    single: int = 0


#: One appearance: picture and position in its ``people``.
Appearance = tuple[int, int]


def spread(
    rng: np.random.Generator,
    total: int,
    parts: int,
    least: int,
    most: int,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Split ``total`` at random into parts of ``least`` to ``most`` each.

    Args:
        rng: Decides how.
        total: Sum of the parts.
        parts: Their number.
        least: Least part.
        most: Greatest part.
        weights: How much each part draws; None for all alike.
    """
    if not least * parts <= total <= most * parts:
        raise ValueError(
            f'{total} cannot be split into {parts} parts of {least} to {most}'
        )
    counts = np.full(parts, least)
    weights = np.ones(parts) if weights is None else weights
    while (rest := total - counts.sum()) > 0:
        open_parts = np.flatnonzero(counts < most)
        share = weights[open_parts]
        counts[open_parts] += rng.multinomial(rest, share / share.sum())
        counts = np.minimum(counts, most)
    return counts


def deal(
    rng: np.random.Generator, counts: np.ndarray, slots: np.ndarray
) -> list[list[int]]:
    """Deal identities into pictures, none twice into the same one.

    The identity with the most appearances chooses first, and takes the
    pictures with the most free slots: this succeeds whenever any way does
    (Gale and Ryser).

    Args:
        rng: Breaks ties.
        counts: Appearances of each identity.
        slots: Labelled people of each picture; sums to as much.

    Returns:
        The identities of each picture.
    """
    free = slots.astype(np.float64)
    pictures = [[] for _ in slots]
    for identity in np.argsort(-counts, kind='stable'):
        count = counts[identity]
        order = np.argsort(-(free + rng.random(len(free)) * 0.9))[:count]
        if len(order) < count or (free[order] < 1).any():
            raise ValueError(
                f'identity {identity} with {count} appearances does not fit; '
                'give it fewer, or the set more pictures'
            )
        free[order] -= 1
        for picture in order:
            pictures[picture].append(int(identity))
    return pictures


def add_strangers(
    rng: np.random.Generator,
    labelled: Sequence[Sequence[int]],
    total: int,
    most: int,
) -> list[tuple[int, ...]]:
    """Add unlabelled people; a picture without anyone gets at least one.

    Args:
        rng: Decides where, and shuffles the people of each picture.
        labelled: Identities of each picture.
        total: Unlabelled people of all pictures together.
        most: Most unlabelled people of a picture.
    """
    empty = np.array([not people for people in labelled])
    counts = spread(rng, total - empty.sum(), len(labelled), 0, most) + empty
    result = []
    for people, strangers in zip(labelled, counts, strict=True):
        everyone = [*people, *[UNLABELED] * int(strangers)]
        order = rng.permutation(len(everyone))
        result.append(tuple(everyone[k] for k in order))
    return result


def people_of(rng, part: Part, first: int, doubles: int) -> list[tuple]:
    """Return the people of every picture of one half.

    Args:
        rng: Decides who meets whom.
        part: Counts.
        first: Number of its first identity.
        doubles: Identities that are twice in one picture.
    """
    usual = part.identities - part.single - 1
    labelled = part.labelled - part.single - part.most
    counts = spread(rng, labelled, usual, part.fewest, part.most)
    counts = np.array([*counts, *[1] * part.single, part.most])
    rng.shuffle(counts)
    twice = rng.choice(np.flatnonzero(counts > 2), doubles, replace=False)
    counts[twice] -= 1
    filled = part.pictures - part.empty
    mean = counts.sum() / filled
    slots = spread(rng, counts.sum(), filled, 1, int(mean + 3))
    dealt = deal(rng, counts, slots)
    for identity in twice:
        lucky = [people for people in dealt if identity in people]
        lucky[rng.integers(len(lucky))].append(identity)
    dealt += [[] for _ in range(part.empty)]
    order = rng.permutation(part.pictures)
    dealt = [[first + int(i) for i in dealt[k]] for k in order]
    most = int(part.unlabelled / part.pictures * 2 + 3)
    return add_strangers(rng, dealt, part.unlabelled, most)


def appearances(
    pictures: Sequence[Picture], chosen: Sequence[int]
) -> dict[int, list[Appearance]]:
    """Return where each identity appears in the chosen pictures."""
    found = {}
    for index in chosen:
        for position, identity in enumerate(pictures[index].people):
            if identity != UNLABELED:
                found.setdefault(identity, []).append((int(index), position))
    return found


def half_counts(
    half: str, pictures: Sequence[Picture], chosen: Sequence[int]
) -> dict[str, int]:
    """Count pictures, boxes and identities of one half of a data set."""
    people = [pictures[k].people for k in chosen]
    everyone = [identity for some in people for identity in some]
    labelled = [identity for identity in everyone if identity != UNLABELED]
    return {
        f'images/{half}': len(people),
        f'boxes/{half}': len(everyone),
        f'labelled/{half}': len(labelled),
        f'unlabelled/{half}': len(everyone) - len(labelled),
        f'identities/{half}': len(set(labelled)),
        f'images without identity/{half}': sum(
            all(identity == UNLABELED for identity in some) for some in people
        ),
    }


@dataclass(frozen=True)
class Drawn:
    """What is known of a picture once it is drawn.

    Attributes:
        bboxes: (N, 4) int, x y w h, inside the picture.
        beyond: (N, 2) int, pixels beyond the left and the upper border.
        visible: (N,) share of each person that nothing hides.
    """

    bboxes: np.ndarray
    beyond: np.ndarray
    visible: np.ndarray
