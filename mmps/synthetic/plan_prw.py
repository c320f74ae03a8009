"""Plans a data set of the PRW layout: six cameras, frame by frame.

Symbols used in this file:
    P   training identities
    T   test identities
    F   frames that show a test identity
    C   cameras that do; it has C queries, and C (F - 1) positives in all
"""

from dataclasses import dataclass, replace

import numpy as np

from .plan import (
    Appearance,
    Part,
    Picture,
    add_strangers,
    appearances,
    deal,
    people_of,
    spread,
)

CAMERAS = range(1, 7)
_EVERY = 25  # frames of the video from one annotated frame to the next
_LEAST = 7  # frames of a test identity, but for the two extreme ones


@dataclass(frozen=True)
class PRWSize:
    """All counts of a data set.

    Attributes:
        picture: Width and height of cameras 1 to 5, pixels.
        other_picture: Width and height of pictures of camera 6, pixels.
        train: Counts of the training frames.
        test_frames: Number of test frames.
        test_identities: T.
        frames_of_all: Sum of F.
        frames: Least and greatest F.
        queries: Sum of C.
        positives: Sum of C (F - 1), or None for whatever chance gives.
        visitors: Training identities that are in test frames too.
        visits: Their boxes there.
        unlabelled: Test boxes without identity.
        empty: Test frames without a labelled box.
        probes: Queries of PRW-mini.
    """

    picture: tuple[int, int]
    other_picture: tuple[int, int]
    train: Part
    test_frames: int
    test_identities: int
    frames_of_all: int
    frames: tuple[int, int]
    queries: int
    positives: int | None
    visitors: int
    visits: int
    unlabelled: int
    empty: int
    probes: int


SIZES = {
    'tiny': PRWSize(
        picture=(320, 240),
        other_picture=(240, 192),
        train=Part(240, 40, 840, 200, 6, 15, 30),
        test_frames=120,
        test_identities=36,
        frames_of_all=290,
        frames=(4, 14),
        queries=175,
        positives=None,
        visitors=3,
        visits=12,
        unlabelled=140,
        empty=3,
        probes=30,
    ),
    'small': PRWSize(
        picture=(320, 240),
        other_picture=(240, 192),
        train=Part(800, 150, 2800, 600, 10, 10, 30),
        test_frames=320,
        test_identities=70,
        frames_of_all=760,
        frames=(4, 30),
        queries=320,
        positives=None,
        visitors=6,
        visits=40,
        unlabelled=350,
        empty=6,
        probes=30,
    ),
    # The counts of PRW itself. Its 77122 regular and 62835 cross-camera
    # positives leave 77122 - 62835 + 2057 = 16344 boxes to the 450 people
    # of the 2057 queries; the other 2783 of the 19127 labelled test boxes
    # must be of somebody else. Here they are of training identities; how
    # many these are is our choice.
    'large': PRWSize(
        picture=(160, 120),
        other_picture=(120, 96),
        train=Part(5704, 483, 14907, 3141, 40, 4, 120),
        test_frames=6112,
        test_identities=450,
        frames_of_all=16344,
        frames=(4, 199),
        queries=2057,
        positives=77122,
        visitors=94,
        visits=2783,
        unlabelled=5935,
        empty=46,
        probes=30,
    ),
}

#: Crowded scenes: fewer frames for training, more people in each.
CROWDED_SIZES = {
    'tiny': replace(
        SIZES['tiny'],
        train=Part(120, 24, 420, 480, 3, 12, 30),
        unlabelled=600,
    ),
    'small': replace(
        SIZES['small'],
        train=Part(300, 80, 1200, 1200, 6, 10, 30),
        unlabelled=1700,
    ),
    'large': SIZES['large'],
}


@dataclass(frozen=True, eq=False)
class PRWPlan:
    """Who appears where, and who is searched for.

    Attributes:
        size: The counts it was made from.
        seed: Decides everything.
        pictures: All frames, by camera and time.
        train: Indices of the training frames.
        test: Indices of the test frames.
        numbers: Identity in the files: P of training, then T of test.
        queries: (picture, position): one for each test identity and camera.
        probes: Positions in ``queries`` of PRW-mini.
    """

    size: PRWSize
    seed: int
    pictures: tuple[Picture, ...]
    train: np.ndarray
    test: np.ndarray
    numbers: tuple[int, ...]
    queries: tuple[Appearance, ...]
    probes: tuple[int, ...]


def make_plan(size: PRWSize, seed: int) -> PRWPlan:
    """Plan a data set; the same size and seed give the same plan."""
    rng = np.random.default_rng([seed, 30])
    frames = _frames(rng, size)
    is_test = np.array([test for _, _, test in frames])
    cameras = np.array([camera for _, camera, _ in frames])
    people = np.empty(len(frames), object)
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    people[train] = people_of(rng, size.train, 0, doubles=1)
    people[test] = _test_people(rng, size, cameras[test])
    pictures = tuple(
        Picture(
            name,
            *(size.other_picture if camera == 6 else size.picture),
            tuple(some),
            camera,
        )
        for (name, camera, _), some in zip(frames, people, strict=True)
    )
    queries = _choose_queries(rng, size, pictures, test)
    probes = rng.choice(
        len(queries), min(size.probes, len(queries)), replace=False
    )
    return PRWPlan(
        size=size,
        seed=seed,
        pictures=pictures,
        train=train,
        test=test,
        numbers=_numbers(size.train.identities, size.test_identities),
        queries=queries,
        probes=tuple(sorted(probes.tolist())),
    )


def _numbers(train: int, test: int) -> tuple[int, ...]:
    """Return the identities as PRW numbers them, 932 and 933 among them.

    With 483 and 450: {1..478, 480..483, 932} and {479, 484..931, 933}.
    """
    left_out = train - 4
    first = [k for k in range(1, train + 1) if k != left_out] + [932]
    second = [left_out, *range(train + 1, train + test - 1), 933]
    return *first, *second


def _frames(rng: np.random.Generator, size: PRWSize) -> list[tuple]:
    """Return (name, camera, whether test) of all frames, in order."""
    total = size.train.pictures + size.test_frames
    each = spread(rng, total, len(CAMERAS), total // 8, total)
    is_test = np.zeros(total, bool)
    is_test[rng.permutation(total)[: size.test_frames]] = True
    frames = []
    for camera, count in zip(CAMERAS, each, strict=True):
        for k in range(count):
            shot = 1 + 3 * k // count
            number = 1 + _EVERY * (k + 6)
            name = f'c{camera}s{shot}_{number:06d}.jpg'
            frames.append((name, camera, bool(is_test[len(frames)])))
    return frames


def _test_people(
    rng: np.random.Generator, size: PRWSize, cameras: np.ndarray
) -> list[tuple[int, ...]]:
    """Return the people of every test frame."""
    shown, seen_by = _frames_and_cameras(rng, size)
    visits = spread(rng, size.visits, size.visitors, 1, size.visits)
    of_visitors = np.minimum(visits, rng.integers(1, 7, size.visitors))
    counts = np.zeros(
        (size.test_identities + size.visitors, len(CAMERAS)), int
    )
    for row, (total, few) in enumerate(
        zip([*shown, *visits], [*seen_by, *of_visitors], strict=True)
    ):
        where = rng.choice(len(CAMERAS), few, replace=False)
        counts[row, where] = spread(rng, total, few, 1, total)
    visitors = rng.choice(size.train.identities, size.visitors, replace=False)
    first = size.train.identities
    identities = [*range(first, first + size.test_identities), *visitors]
    empty = set(rng.choice(len(cameras), size.empty, replace=False).tolist())
    people = [[] for _ in cameras]
    for column, camera in enumerate(CAMERAS):
        frames = [
            k for k in np.flatnonzero(cameras == camera) if k not in empty
        ]
        boxes = counts[:, column].sum()
        most = int(boxes / len(frames) + 4)
        slots = spread(rng, boxes, len(frames), 1, most)
        dealt = deal(rng, counts[:, column], slots)
        for frame, some in zip(frames, dealt, strict=True):
            people[frame] = [int(identities[k]) for k in some]
    most = int(size.unlabelled / size.test_frames * 2 + 3)
    return add_strangers(rng, people, size.unlabelled, most)


def _frames_and_cameras(
    rng: np.random.Generator, size: PRWSize
) -> tuple[np.ndarray, np.ndarray]:
    """Return F and C of every test identity, with the sums of the size."""
    count = size.test_identities
    least, most = size.frames
    weights = rng.gamma(1.2, size=count - 2)
    rest = size.frames_of_all - least - most
    usual = spread(rng, rest, count - 2, min(_LEAST, most), most, weights)
    shown = np.array([least, most, *usual])
    seen_by = spread(rng, size.queries - 4, count - 1, 2, len(CAMERAS))
    seen_by = np.array([4, *seen_by])  # who has least frames has 4 of them
    if size.positives is None:
        return shown, seen_by
    # frames go from one to another until the positives add up
    target = size.positives + size.queries
    for _ in range(1_000_000):
        lack = target - (shown * seen_by).sum()
        if lack == 0:
            return shown, seen_by
        giver, taker = rng.integers(2, count, 2)
        gain = seen_by[taker] - seen_by[giver]
        if (
            abs(lack - gain) < abs(lack)
            and shown[giver] > _LEAST
            and shown[taker] < most
        ):
            shown[giver] -= 1
            shown[taker] += 1
    raise ValueError(
        f'{size.frames_of_all} frames and {size.queries} queries cannot give '
        f'{size.positives} positives'
    )


def _choose_queries(rng, size: PRWSize, pictures, test) -> tuple:
    """Choose one appearance of each test identity in each camera."""
    where = appearances(pictures, test)
    queries = []
    for identity in sorted(where):
        if identity < size.train.identities:
            continue
        for camera in CAMERAS:
            here = [
                a for a in where[identity] if pictures[a[0]].camera == camera
            ]
            if here:
                queries.append(here[rng.integers(len(here))])
    return tuple(queries)
