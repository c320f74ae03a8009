"""Part scenes into training and test so that nobody is in both.

Symbols used in this file:
    S   scenes
    K   scenes that show one person
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmps.datasets.errors import DatasetError

from .scenes import Scene

#: How scenes can be parted.
WAYS = ('sequence', 'person')


@dataclass(frozen=True)
class Halves:
    """Training and test scenes.

    Attributes:
        train, test: No name is in both.
        notes: How they were parted, and what it cost.
    """

    train: list[Scene]
    test: list[Scene]
    notes: tuple[str, ...]


def split_scenes(
    scenes: Sequence[Scene], *, by: str | None, share: float, seed: int
) -> Halves:
    """Part scenes.

    By sequence: whole sequences go to the test half, in random order, until
    it has its share of the scenes. By person: whole groups of people who are
    seen together do, until it has its share of the people; if too many are
    seen together for that, people are drawn one by one and a scene goes where
    most of its people are. In both ways a person who is left in both halves
    keeps the name in one only: in that which was drawn for the person.

    Args:
        scenes: S scenes.
        by: One of ``WAYS``; None for 'sequence' if there are several.
        share: Of the test half, in (0, 1).
        seed: Of the random order.

    Raises:
        ValueError: ``share`` is out of range.
        DatasetError: There is nothing to part.
    """
    if not 0 < share < 1:
        raise ValueError(f'--test-share must be between 0 and 1, got {share}')
    sequences = sorted({scene.sequence for scene in scenes})
    people = sorted(_names(scenes))
    by = by or ('sequence' if len(sequences) > 1 else 'person')
    units = sequences if by == 'sequence' else people
    if len(units) < 2:
        raise DatasetError(
            'the source',
            f'has {len(units)} {"sequences" if by == "sequence" else "people"}'
            ', two are the minimum to part it into training and test',
            f'part it by {WAYS[by == "sequence"]} (--split), or give a test '
            'half of its own (--test)',
        )
    rng = np.random.default_rng(seed)
    if by == 'sequence':
        return _by_sequence(scenes, sequences, share, rng)
    return _by_person(scenes, people, share, rng)


def part_given(train: Sequence[Scene], test: Sequence[Scene]) -> Halves:
    """Take two halves as they are; a name in both stays in test alone."""
    return _apart(train, test, _names(test), 'halves as given')


def _by_sequence(scenes, sequences, share, rng) -> Halves:
    sizes = Counter(scene.sequence for scene in scenes)
    chosen: set[str] = set()
    for index in rng.permutation(len(sequences))[:-1]:
        if sum(sizes[name] for name in chosen) >= share * len(scenes):
            break
        chosen.add(sequences[index])
    test = [scene for scene in scenes if scene.sequence in chosen]
    train = [scene for scene in scenes if scene.sequence not in chosen]
    shared = sorted(_names(train) & _names(test))
    count = max(1, round(share * len(shared)))
    drawn = {shared[i] for i in rng.permutation(len(shared))[:count]}
    test_people = _names(test).difference(shared) | drawn
    note = f'split by sequence; test: {", ".join(sorted(chosen))}'
    return _apart(train, test, test_people, note)


def _by_person(scenes, people, share, rng) -> Halves:
    wanted = max(1, round(share * len(people)))
    groups = _seen_together(scenes)
    drawn: set[str] = set()
    for index in rng.permutation(len(groups)):
        if len(drawn) + len(groups[index]) <= wanted:
            drawn |= groups[index]
    how = 'people who are seen together stay together'
    if 2 * len(drawn) < wanted:
        order = rng.permutation(len(people))[:wanted]
        drawn = {people[index] for index in order}
        how = 'a scene goes where most of its people are'
    train, test = [], []
    for scene, number in zip(scenes, rng.random(len(scenes)), strict=True):
        names = _names([scene])
        ours = len(names & drawn)
        is_test = 2 * ours >= len(names) if names else number < share
        (test if is_test else train).append(scene)
    note = f'split by person, {len(drawn)} of {len(people)} in test; {how}'
    return _apart(train, test, drawn, note)


def _apart(train, test, test_people: set[str], note: str) -> Halves:
    """Take the names of test people out of train, and the others out of test.

    Args:
        train, test: Scenes.
        test_people: Names of the test people.
        note: How scenes were parted.
    """
    notes = [note]
    train_people = _names([*train, *test]) - test_people
    for split, half, others in (
        ('train', train, test_people),
        ('test', test, train_people),
    ):
        count = sum(p.name in others for scene in half for p in scene.people)
        if count:
            notes.append(
                f'{count} boxes in {split} show people of the other half: '
                'they stay, without identity'
            )
    return Halves(
        [_forget(scene, test_people) for scene in train],
        [_forget(scene, train_people) for scene in test],
        tuple(notes),
    )


def _seen_together(scenes) -> list[set[str]]:
    """Groups of people, none of whom shares a scene with another group."""
    group_of: dict[str, set[str]] = {}
    for scene in scenes:
        names = _names([scene])
        merged = names.union(*(group_of.get(n, set()) for n in names))
        group_of.update(dict.fromkeys(merged, merged))
    unique = {id(group): group for group in group_of.values()}
    return sorted(unique.values(), key=min)


def _names(scenes: Iterable[Scene]) -> set[str]:
    return {
        person.name
        for scene in scenes
        for person in scene.people
        if person.name is not None
    }


def _forget(scene: Scene, names: set[str]) -> Scene:
    """The same scene, in which these people have no identity."""
    people = tuple(
        replace(person, name=None) if person.name in names else person
        for person in scene.people
    )
    return replace(scene, people=people)


def choose_queries(
    test: Sequence[Scene], per_person: int, seed: int
) -> tuple[list[tuple[int, int]], int]:
    """Draw the queries of a test half.

    Args:
        test: Scenes.
        per_person: Maximum of each person; in so many different scenes.
        seed: Of the random choice.

    Returns:
        (scene, position of the person in it) of every query, in order, and
        how many people are in one scene alone, so that nobody can find them.
    """
    if per_person < 0:
        raise ValueError(
            f'--queries-per-person must be at least 0, got {per_person}'
        )
    places: dict[str, dict[int, int]] = defaultdict(dict)
    for index, scene in enumerate(test):
        for position, person in enumerate(scene.people):
            if person.name is not None:
                places[person.name].setdefault(index, position)
    rng = np.random.default_rng(seed)
    queries, alone = [], 0
    for name in sorted(places):
        where = sorted(places[name].items())  # K scenes
        if len(where) < 2:
            alone += 1
            continue
        picked = rng.choice(
            len(where), min(per_person, len(where)), replace=False
        )
        queries += [where[index] for index in picked]
    return sorted(queries), alone
