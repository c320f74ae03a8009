"""Counts of the plans; the large ones are those of the published sets."""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from mmps.structures import UNLABELED
from mmps.synthetic import plan_cuhk_sysu, plan_prw, write_cuhk_sysu, write_prw
from mmps.synthetic.plan import add_strangers, deal, spread

LAYOUTS = {
    'cuhk-sysu': (plan_cuhk_sysu, write_cuhk_sysu),
    'prw': (plan_prw, write_prw),
}


@cache
def plan_of(layout, size, seed=0):
    planner, _ = LAYOUTS[layout]
    return planner.make_plan(planner.SIZES[size], seed)


def people(plan, half):
    return [plan.pictures[k].people for k in getattr(plan, half)]


@pytest.mark.parametrize('seed', range(5))
def test_parts_add_up_within_their_limits(seed):
    rng = np.random.default_rng(seed)
    parts = spread(rng, 100, 30, 1, 5)
    assert parts.sum() == 100
    assert parts.min() >= 1
    assert parts.max() <= 5


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match='31 cannot be split into 6 parts'):
        spread(np.random.default_rng(0), 31, 6, 1, 5)


def test_everyone_is_dealt_once_a_picture_even_where_it_is_tight():
    # two must be everywhere, and two pictures have room for all three
    counts, slots = np.array([4, 2, 4]), np.array([2, 3, 2, 3])
    dealt = deal(np.random.default_rng(0), counts, slots)
    assert [len(some) for some in dealt] == slots.tolist()
    assert all(len(set(some)) == len(some) for some in dealt)
    assert Counter(i for some in dealt for i in some) == {0: 4, 1: 2, 2: 4}


def test_nobody_fits_into_more_pictures_than_there_are():
    with pytest.raises(ValueError, match='identity 1 with 3 appearances'):
        deal(np.random.default_rng(0), np.array([1, 3]), np.array([2, 2]))


def test_no_picture_stays_without_people():
    rng = np.random.default_rng(0)
    people = add_strangers(rng, [[], [4], [], [5, 6]], 5, 9)
    assert all(people)
    assert sum(some.count(UNLABELED) for some in people) == 5
    assert sorted(i for some in people for i in some if i >= 0) == [4, 5, 6]


def test_large_cuhk_sysu_has_the_published_counts():
    plan = plan_of('cuhk-sysu', 'large')
    counts = write_cuhk_sysu.counts_of(plan)
    published = {
        'images/train': 11206,
        'images/test': 6978,
        'boxes/train': 55272,
        'boxes/test': 40871,
        'labelled/train': 15085,
        'labelled/test': 8345,
        'unlabelled/train': 40187,
        'unlabelled/test': 32526,
        'identities/train': 5532,
        'identities/test': 2900,
        'images without identity/train': 1490,
        'queries': 2900,
        'query images': 2725,
        'positives/G100': 5447,
    }
    assert {name: counts[name] for name in published} == published
    positives = [len(p) for p in plan.positives]
    assert (min(positives), max(positives)) == (1, 13)
    twice = [
        len({picture for picture, _ in p}) < len(p) for p in plan.positives
    ]
    assert sum(twice) == 4
    own = zip(plan.queries, plan.positives, strict=True)
    assert sum(query in places for query, places in own) == 2


def test_large_prw_has_the_published_counts():
    plan = plan_of('prw', 'large')
    counts = write_prw.counts_of(plan)
    published = {
        'images/train': 5704,
        'images/test': 6112,
        'boxes/train': 18048,
        'boxes/test': 25062,
        'labelled/train': 14907,
        'labelled/test': 19127,
        'unlabelled/train': 3141,
        'unlabelled/test': 5935,
        'identities/train': 483,
        'images without identity/train': 40,
        'images without identity/test': 46,
        'queries': 2057,
        'queries/mini': 30,
        'positives/regular': 77122,
        'positives/cross-camera': 62835,
    }
    assert {name: counts[name] for name in published} == published
    searched = {plan.pictures[k].people[i] for k, i in plan.queries}
    assert len(searched) == 450
    shown = Counter(i for some in people(plan, 'test') for i in some)
    frames = [shown[identity] - 1 for identity in searched]
    assert (min(frames), max(frames)) == (3, 198)
    train = {*range(1, 479), *range(480, 484), 932}
    assert set(plan.numbers[:483]) == train
    assert set(plan.numbers[483:]) == {*range(1, 934)} - train


@pytest.mark.parametrize('size', ['tiny', 'small', 'large'])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_who_is_searched_for_is_never_trained_on(layout, size):
    plan = plan_of(layout, size)
    trained = {i for some in people(plan, 'train') for i in some}
    searched = {plan.pictures[k].people[i] for k, i in plan.queries}
    assert len(trained - {UNLABELED}) == plan.size.train.identities
    assert not trained & searched
    assert set(plan.train).isdisjoint(plan.test)
    assert {k for k, _ in plan.queries} <= set(plan.test)


@pytest.mark.parametrize('size', ['tiny', 'small'])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_crowded_sets_train_on_fewer_pictures_of_more_people(layout, size):
    planner, writer = LAYOUTS[layout]
    plain = writer.counts_of(plan_of(layout, size))
    crowded = planner.make_plan(planner.CROWDED_SIZES[size], 0)
    counts = writer.counts_of(crowded)
    assert counts['images/train'] <= plain['images/train'] / 2
    for half in ('train', 'test'):
        people = counts[f'boxes/{half}'] / counts[f'images/{half}']
        assert people > 1.5 * plain[f'boxes/{half}'] / plain[f'images/{half}']


@pytest.mark.parametrize('layout', LAYOUTS)
def test_small_sets_fill_a_picture_with_a_few_people(layout):
    plan = plan_of(layout, 'tiny')
    sizes = [len(picture.people) for picture in plan.pictures]
    assert 3 <= np.mean(sizes) <= 5
    labelled = [i for some in people(plan, 'train') for i in some if i >= 0]
    assert 10 <= len(labelled) / plan.size.train.identities <= 25
    assert len(plan.queries) >= 170


def test_prw_asks_once_for_each_person_and_camera():
    plan = plan_of('prw', 'tiny')
    count = plan.size.train.identities
    pairs = {
        (identity, plan.pictures[k].camera)
        for k in plan.test
        for identity in plan.pictures[k].people
        if identity >= count
    }
    asked = [
        (plan.pictures[k].people[i], plan.pictures[k].camera)
        for k, i in plan.queries
    ]
    assert len(asked) == len(set(asked))
    assert set(asked) == pairs


@pytest.mark.parametrize('layout', LAYOUTS)
def test_plans_depend_on_the_seed_alone(layout):
    planner, _ = LAYOUTS[layout]
    again = planner.make_plan(planner.SIZES['tiny'], 0)
    assert again.pictures == plan_of(layout, 'tiny').pictures
    assert again.queries == plan_of(layout, 'tiny').queries
    assert plan_of(layout, 'tiny', 1).pictures != again.pictures
