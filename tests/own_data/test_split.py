import random
from pathlib import Path

import pytest

from mmps.datasets.errors import DatasetError
from mmps.own_data.scenes import Person, Scene
from mmps.own_data.split import choose_queries, part_given, split_scenes

BOX = (1, 2, 10, 20)


def scene(number, *names, sequence='s'):
    people = tuple(Person(BOX, name) for name in names)
    return Scene(Path(f'{number}.jpg'), f'{number}.jpg', sequence, people)


def names(scenes):
    return {p.name for s in scenes for p in s.people} - {None}


def crowd(seed, size=60):
    """Scenes of three sequences; each shows some of twelve people."""
    rng = random.Random(seed)
    return [
        scene(
            i,
            *rng.sample([*'abcdefghijkl', None], rng.randrange(5)),
            sequence=f's{i % 3}',
        )
        for i in range(size)
    ]


@pytest.mark.parametrize('by', ['person', 'sequence'])
@pytest.mark.parametrize('seed', range(5))
def test_nobody_is_in_both_and_nothing_is_lost(by, seed):
    scenes = crowd(seed)
    halves = split_scenes(scenes, by=by, share=0.3, seed=seed)
    assert not names(halves.train) & names(halves.test)
    assert names(halves.test)
    assert names(halves.train)
    both = sorted(halves.train + halves.test, key=lambda s: int(s.file.stem))
    assert [s.file for s in both] == [s.file for s in scenes]
    assert [len(s.people) for s in both] == [len(s.people) for s in scenes]
    for old, new in zip(scenes, both, strict=True):
        for before, after in zip(old.people, new.people, strict=True):
            assert after.name in (before.name, None)
    # what lost its name is counted in the notes
    lost = sum(
        before.name != after.name
        for old, new in zip(scenes, both, strict=True)
        for before, after in zip(old.people, new.people, strict=True)
    )
    counts = [
        int(word)
        for note in halves.notes[1:]
        for word, unit in zip(note.split(), note.split()[1:], strict=False)
        if unit == 'boxes'
    ]
    assert sum(counts) == lost
    again = split_scenes(scenes, by=by, share=0.3, seed=seed)
    assert again == halves


def test_groups_who_are_seen_together_stay_together():
    pairs = [(f'{g}{i}', f'{g}{i + 1}') for g in 'abcdefghij' for i in (0, 1)]
    scenes = [scene(i, *pair) for i, pair in enumerate(pairs)]
    halves = split_scenes(scenes, by=None, share=0.4, seed=0)
    # ten groups of three: four of them are 40 % of the people
    assert len(names(halves.test)) == 12
    assert len({name[0] for name in names(halves.test)}) == 4
    assert not {n[0] for n in names(halves.test)} & {
        n[0] for n in names(halves.train)
    }
    assert len(halves.notes) == 1


def test_whole_sequences_go_to_test():
    scenes = [scene(i, f'p{i}', sequence=f's{i % 4}') for i in range(40)]
    halves = split_scenes(scenes, by=None, share=0.3, seed=1)
    test = {s.sequence for s in halves.test}
    assert len(test) == 2  # one is 25 %
    assert not test & {s.sequence for s in halves.train}
    assert f'test: {", ".join(sorted(test))}' in halves.notes[0]


def test_halves_as_given_lose_the_names_of_both_in_train():
    train = [scene(1, 'a', 'b'), scene(2, 'b', None)]
    test = [scene(3, 'b', 'c')]
    halves = part_given(train, test)
    assert names(halves.train) == {'a'}
    assert halves.test == test
    assert '2 boxes in train show people of the other half' in halves.notes[1]


def test_what_cannot_be_parted():
    with pytest.raises(DatasetError, match='has 1 people, two are the minim'):
        split_scenes([scene(1, 'a')], by='person', share=0.3, seed=0)
    with pytest.raises(DatasetError, match=r'has 1 sequences.*by person'):
        split_scenes([scene(1, 'a')], by='sequence', share=0.3, seed=0)
    for share in (0, 1, -0.1):
        with pytest.raises(ValueError, match='--test-share must be between'):
            split_scenes([], by=None, share=share, seed=0)


def test_queries_are_people_who_can_be_found():
    scenes = [
        scene(1, None, 'a', 'b'),
        scene(2, 'a', 'a'),
        scene(3, 'a', 'c'),
        scene(4, 'c'),
    ]
    queries, alone = choose_queries(scenes, 1, seed=0)
    assert alone == 1  # b
    assert len(queries) == 2
    found = [scenes[i].people[position].name for i, position in queries]
    assert sorted(found) == ['a', 'c']
    every, _ = choose_queries(scenes, 9, seed=0)
    # no scene is a query for the same person twice
    assert every == [(0, 1), (1, 0), (2, 0), (2, 1), (3, 0)]
    assert choose_queries(scenes, 0, seed=0) == ([], 1)
    with pytest.raises(ValueError, match='--queries-per-person must be at'):
        choose_queries(scenes, -1, seed=0)
