"""Plans a data set of the CUHK-SYSU layout.

Symbols used in this file:
    P   training identities
    Q   queries
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from .plan import Appearance, Part, Picture, appearances, people_of


@dataclass(frozen=True)
class CuhkSysuSize:
    """All counts of a data set.

    Attributes:
        picture: Width and height of the pictures, pixels.
        train: Counts of the training half.
        test: Counts of the test half.
        queries_each: Most queries of a test identity.
        query_pictures: Pictures that hold queries; None for whatever chance
            gives.
        galleries: Sizes of the galleries.
        doubles: Test identities that are twice in one picture.
        repeats: Queries whose gallery lists the same box twice.
        own: Queries whose own picture is in their gallery.
        zero_boxes: Empty boxes in Images.mat, to be dropped by a loader.
        occlusion: Queries of the subset of hidden people.
        resolution: Queries of the subset of small people.
    """

    picture: tuple[int, int]
    train: Part
    test: Part
    queries_each: int
    query_pictures: int | None
    galleries: tuple[int, ...]
    doubles: int
    repeats: int
    own: int
    zero_boxes: int
    occlusion: int
    resolution: int


SIZES = {
    'tiny': CuhkSysuSize(
        picture=(320, 240),
        train=Part(240, 80, 840, 200, 6, 5, 20, single=2),
        test=Part(120, 24, 182, 250, 5, 4, 13),
        queries_each=50,
        query_pictures=None,
        galleries=(50, 100),
        doubles=1,
        repeats=1,
        own=2,
        zero_boxes=4,
        occlusion=20,
        resolution=30,
    ),
    'small': CuhkSysuSize(
        picture=(320, 240),
        train=Part(800, 150, 2800, 700, 20, 10, 30, single=4),
        test=Part(320, 60, 482, 700, 12, 4, 13),
        queries_each=6,
        query_pictures=None,
        galleries=(50, 100),
        doubles=2,
        repeats=1,
        own=2,
        zero_boxes=8,
        occlusion=40,
        resolution=60,
    ),
    # The counts of CUHK-SYSU itself. Its 8345 labelled test boxes are its
    # 2900 queries and 5447 positives less the two that are both. Pictures
    # without a labelled test box are not published: 600 is our choice.
    'large': CuhkSysuSize(
        picture=(160, 120),
        train=Part(11206, 5532, 15085, 40187, 1490, 1, 40),
        test=Part(6978, 2900, 8345, 32526, 600, 2, 14),
        queries_each=1,
        query_pictures=2725,
        galleries=(50, 100, 500, 1000, 2000, 4000),
        doubles=4,
        repeats=0,
        own=2,
        zero_boxes=20,
        occlusion=187,
        resolution=290,
    ),
}

#: Crowded scenes: fewer pictures for training, more people in each.
CROWDED_SIZES = {
    'tiny': replace(
        SIZES['tiny'],
        train=Part(120, 40, 420, 480, 3, 5, 20, single=2),
        test=Part(120, 24, 182, 700, 5, 4, 13),
    ),
    'small': replace(
        SIZES['small'],
        train=Part(300, 100, 1200, 1200, 8, 6, 30, single=4),
        test=Part(240, 60, 482, 1400, 8, 4, 13),
    ),
    'large': SIZES['large'],
}


@dataclass(frozen=True, eq=False)
class CuhkSysuPlan:
    """Who appears where, and who is searched for.

    Attributes:
        size: The counts it was made from.
        seed: Decides everything.
        pictures: All pictures, s1.jpg first.
        train: Indices of the training pictures.
        test: Indices of the pool, the test pictures.
        idnames: Names of the identities: P of training, then those of test.
        queries: (picture, position) of each query.
        positives: Where else each query's person is, in gallery order; the
            first entries of all its galleries.
    """

    size: CuhkSysuSize
    seed: int
    pictures: tuple[Picture, ...]
    train: np.ndarray
    test: np.ndarray
    idnames: tuple[str, ...]
    queries: tuple[Appearance, ...]
    positives: tuple[tuple[Appearance, ...], ...]

    def identity(self, query: int) -> int:
        """Return the identity of a query."""
        picture, position = self.queries[query]
        return self.pictures[picture].people[position]

    def distractors(self, query: int) -> np.ndarray:
        """Return the test pictures without the person, in gallery order."""
        shown = [self.queries[query][0]]
        shown += [picture for picture, _ in self.positives[query]]
        rng = np.random.default_rng([self.seed, 21, query])
        return rng.permutation(np.setdiff1d(self.test, shown))


def make_plan(size: CuhkSysuSize, seed: int) -> CuhkSysuPlan:
    """Plan a data set; the same size and seed give the same plan."""
    rng = np.random.default_rng([seed, 20])
    train, test = size.train, size.test
    total = train.pictures + test.pictures
    is_test = np.zeros(total, bool)
    is_test[rng.permutation(total)[: test.pictures]] = True
    people = {}
    people[False] = iter(people_of(rng, train, 0, 0))
    people[True] = iter(people_of(rng, test, train.identities, size.doubles))
    pictures = tuple(
        Picture(f's{k + 1}.jpg', *size.picture, next(people[bool(flag)]))
        for k, flag in enumerate(is_test)
    )
    numbers = rng.permutation(2 * (train.identities + test.identities)) + 1
    chosen = np.flatnonzero(is_test)
    where = appearances(pictures, chosen)
    queries = _choose_queries(rng, where, size)
    return CuhkSysuPlan(
        size=size,
        seed=seed,
        pictures=pictures,
        train=np.flatnonzero(~is_test),
        test=chosen,
        idnames=tuple(
            f'p{n}' for n in numbers[: train.identities + test.identities]
        ),
        queries=queries,
        positives=_positives(rng, pictures, where, queries, size),
    )


def _is_twice(where: list[Appearance], picture: int) -> bool:
    return sum(p == picture for p, _ in where) > 1


def _choose_queries(rng, where: dict, size: CuhkSysuSize) -> tuple:
    """Choose boxes to search for; none of one who is twice in the picture."""
    options = [
        [a for a in where[identity] if not _is_twice(where[identity], a[0])]
        for identity in sorted(where)
    ]
    for places in options:
        rng.shuffle(places)
    chosen = [places[: size.queries_each] for places in options]
    if size.query_pictures is not None:
        _share_pictures(rng, chosen, options, size.query_pictures)
    queries = [tuple(map(int, q)) for places in chosen for q in places]
    return tuple(queries[k] for k in rng.permutation(len(queries)))


def _share_pictures(rng, chosen: list, options: list, target: int) -> None:
    """Move queries until they lie in ``target`` pictures, in place."""
    used = Counter(places[0][0] for places in chosen)
    for _ in range(200):
        for k in rng.permutation(len(chosen)):
            if len(used) == target:
                return
            old = chosen[k][0]
            for new in options[k]:
                fewer = used[old[0]] == 1 and new[0] in used
                more = used[old[0]] > 1 and new[0] not in used
                if new[0] != old[0] and (
                    fewer if len(used) > target else more
                ):
                    chosen[k] = [new]
                    used[new[0]] += 1
                    used[old[0]] -= 1
                    used += Counter()  # forget pictures without a query
                    break
    raise ValueError(
        f'{len(chosen)} queries cannot be brought into {target} pictures'
    )


def _positives(rng, pictures, where: dict, queries, size) -> tuple:
    positives = []
    for picture, position in queries:
        places = where[pictures[picture].people[position]]
        others = [a for a in places if a[0] != picture]
        positives.append([others[k] for k in rng.permutation(len(others))])
    plain = [
        k for k, p in enumerate(positives) if len({a[0] for a in p}) == len(p)
    ]
    odd = rng.choice(plain, size.own + size.repeats, replace=False)
    for k in odd[: size.own]:
        positives[k].append(queries[k])
    for k in odd[size.own :]:
        positives[k].append(positives[k][0])
    return tuple(tuple(p) for p in positives)
