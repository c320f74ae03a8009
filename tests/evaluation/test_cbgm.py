"""Context matching: against all permutations, and by hand."""

import math

import numpy as np
import pytest

from mmps.evaluation.cbgm import (
    VARIANTS,
    ContextMatching,
    SumMatching,
    match_query,
)
from mmps.evaluation.features import Boxes
from mmps.evaluation.galleries import listings
from mmps.evaluation.scoring import evaluate
from mmps.evaluation.search import on_grid
from mmps.structures import Query
from tests.evaluation import reference
from tests.evaluation.random_sets import random_features

# five people side by side, 40 x 80
PLACES = [np.array([100.0 * i, 0, 100 * i + 40, 80]) for i in range(5)]
AXES = np.eye(5, dtype=np.float32)


def boxes_of(images: list[list[tuple]]) -> Boxes:
    """Images of (place, embedding, score)."""
    flat = [person for image in images for person in image]
    counts = [len(image) for image in images]
    return Boxes(
        np.array([PLACES[p] for p, _, _ in flat], np.float32),
        np.array([s for _, _, s in flat], np.float32),
        np.array([e for _, e, _ in flat], np.float32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )


def mixed(**shares: float) -> np.ndarray:
    """Unit vector with these shares of axes a0, a1, ..."""
    vector = sum(x * AXES[int(name[1:])] for name, x in shares.items())
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize('decimals', [None, 1, 0])
def test_matching_is_the_best_of_all(decimals):
    rng = np.random.default_rng(0)
    for _ in range(100):
        shape = rng.integers(1, 5, size=2)
        graph = rng.uniform(-1, 1, size=shape)
        if decimals is not None:
            graph = graph.round(decimals)  # ties
        partner, matched = match_query(graph)
        table = graph.tolist()
        allowed = reference.best_matchings(table)
        assert len(matched) == min(shape)
        assert (partner, sorted(matched)) in [
            (pairs.get(0), sorted(table[r][c] for r, c in pairs.items()))
            for pairs in allowed
        ]
        if decimals is None:
            assert len(allowed) == 1


SIZES = [(1, 1), (1, 2), (2, 2), (3, 3), (6, 2), (99, 5)]


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize(('k1', 'k2'), SIZES)
def test_revision_is_that_of_a_best_matching(variant, k1, k2):
    """Random galleries with ties, images listed twice, empty images."""
    seen = set()
    for seed in range(60):
        features = random_features(seed)
        boxes = features.detections.above(0.5)
        images = reference.per_image(features.detections, 0.5)
        matching = VARIANTS[variant][0](boxes, features.queries, k1=k1, k2=k2)
        for name, protocol in features.protocols.items():
            for position, gallery in enumerate(protocol.galleries):
                number = int(protocol.queries[position])
                vector = features.query_embeddings[number]
                similar = [
                    reference.exact_dot(e, vector) for _, _, e in images
                ]
                allowed = reference.rematches(
                    images,
                    reference.entries(gallery, len(images)),
                    similar,
                    features.queries[number],
                    *(k1, k2, reference.exact_dot, variant),
                )
                listed = listings(name, position, gallery, len(images))
                rows = np.flatnonzero((listed > 0)[boxes.image])
                before = on_grid(boxes.embeddings) @ on_grid(vector)
                after = matching(number, before, rows)
                for image in range(len(images)):
                    got = after[boxes.of(image)].tolist()
                    same = allowed.get(image, [similar[image]])
                    assert got in [pytest.approx(v, abs=1e-12) for v in same]
                    seen |= kinds(similar, allowed, image, listed, got)
    wanted = {'image twice', 'image without a box'}
    if (k2 > 1) if variant == 'published' else True:
        wanted |= {'revised'}
    if k2 > 1:
        wanted |= {'several best matchings'}
    assert wanted <= seen


def kinds(similar, allowed, image, listed, got) -> set:
    """Which of the odd cases an image has."""
    found = {
        'image twice': image in allowed and listed[image] > 1,
        'image without a box': listed[image] and not similar[image],
        'revised': image in allowed and got != similar[image],
        'several best matchings': len(allowed.get(image, ())) > 1,
    }
    return {name for name, there in found.items() if there}


def scene() -> Boxes:
    """Image 0: the query (axis 0) beside two people. Image 1: all three,
    the query less like itself than like the first neighbour. Image 2: a
    stranger alone."""
    return boxes_of(
        [
            [(0, AXES[0], 0.9), (1, AXES[1], 0.8), (2, AXES[2], 0.7)],
            [
                (0, mixed(a0=0.6, a3=0.8), 0.9),
                (1, mixed(a0=0.7, a1=0.714), 0.9),
                (2, AXES[2], 0.9),
            ],
            [(0, mixed(a0=0.65, a4=0.76), 0.9)],
        ]
    )


def similarities(boxes: Boxes) -> np.ndarray:
    return boxes.embeddings.astype(np.float64) @ AXES[0]


def revise(
    kind: type, boxes: Boxes, images: list[int], k1: int, k2: int
) -> np.ndarray:
    matching = kind(boxes, (Query(0, PLACES[0], 'p'),), k1=k1, k2=k2)
    rows = np.flatnonzero(np.isin(boxes.image, images))
    return matching(0, similarities(boxes), rows)


def changed(before: np.ndarray, after: np.ndarray) -> list[int]:
    return np.flatnonzero(after != before).tolist()


def test_context_sends_the_query_to_its_own_place():
    boxes = scene()
    before = similarities(boxes)
    # the neighbours take boxes 4 and 5: pairs 0.6, 0.714 and 1
    after = revise(ContextMatching, boxes, [1, 2], k1=1, k2=3)
    assert after[3] == 1
    assert changed(before, after) == [3]
    after = revise(SumMatching, boxes, [1, 2], k1=1, k2=2)
    assert after[3] == pytest.approx(0.6 + 0.714 + 1, abs=1e-3)
    assert changed(before, after) == [3]


def test_k1_counts_detections_or_images():
    boxes = scene()
    before = similarities(boxes)  # of image 1: 0.6, 0.7, 0; of image 2: 0.65
    assert changed(before, revise(ContextMatching, boxes, [1, 2], 1, 3)) == [3]
    # image 2 holds one box: alone with two neighbours the query gets it, as
    # its similarity is the largest, and keeps it
    assert changed(before, revise(ContextMatching, boxes, [1, 2], 2, 3)) == [3]
    assert changed(before, revise(SumMatching, boxes, [1, 2], 2, 2)) == [3]
    # image 1 is not in the gallery
    for kind in (ContextMatching, SumMatching):
        assert changed(before, revise(kind, boxes, [2], 2, 3)) == []
    # the two best detections are of one image, the third of another
    twice = boxes_of(
        [
            [(0, AXES[0], 0.9), (1, AXES[1], 0.8)],
            [
                (0, mixed(a0=0.8, a3=0.6), 0.9),
                (1, mixed(a0=0.9, a1=0.436), 0.9),
            ],
            [
                (0, mixed(a0=0.5, a1=0.1, a3=0.86), 0.9),
                (1, mixed(a0=0.6, a1=0.8), 0.9),
            ],
        ]
    )
    before = similarities(twice)
    rows = np.arange(2, 6)
    query = (Query(0, PLACES[0], 'p'),)
    published = ContextMatching(twice, query, k1=2, k2=2)
    assert published.images(before, rows).tolist() == [1]
    assert SumMatching(twice, query, k1=2, k2=1).images(
        before, rows
    ).tolist() == [1, 2]


def test_k2_counts_the_query_or_not():
    # one neighbour, the one of the higher score: 0.6 + 0.714 against
    # 0.7 + 0 for the other way round
    after = revise(ContextMatching, scene(), [1, 2], k1=1, k2=2)
    assert after[3] == pytest.approx(0.714, abs=1e-3)
    after = revise(SumMatching, scene(), [1, 2], k1=1, k2=1)
    assert after[3] == pytest.approx(0.6 + 0.714, abs=1e-3)
    # the query alone is its own best match
    alone = revise(ContextMatching, scene(), [1, 2], k1=9, k2=1)
    assert np.array_equal(alone, similarities(scene()))


@pytest.mark.parametrize(
    ('kind', 'k2'), [(ContextMatching, 2), (SumMatching, 1)]
)
def test_query_left_out_keeps_its_similarities(kind, k2):
    boxes = boxes_of(
        [
            [(0, AXES[0], 0.9), (1, AXES[1], 0.8)],
            [(0, mixed(a0=0.6, a1=0.8), 0.9)],
        ]
    )
    # the neighbour likes the only box better
    after = revise(kind, boxes, [1], k1=1, k2=k2)
    assert np.array_equal(after, similarities(boxes))


@pytest.mark.parametrize(
    ('kind', 'at_half'), [(ContextMatching, [0, 1, 2]), (SumMatching, [1, 2])]
)
def test_the_query_is_not_its_own_context(kind, at_half):
    boxes = scene()

    def context(bbox, k2: int = 6) -> list[int]:
        query = (Query(0, bbox, 'p'),)
        return kind(boxes, query, k1=1, k2=k2).context(0).tolist()

    assert context(PLACES[0] + [5, 0, 5, 0]) == [1, 2]
    assert context(PLACES[0] * [1, 1, 1, 0.5]) == at_half  # IoU exactly 0.5
    missed = PLACES[4]  # the detector has not found the query
    assert context(missed) == [0, 1, 2]
    assert context(missed, 2) == ([0] if kind is ContextMatching else [0, 1])


@pytest.mark.parametrize('kind', [ContextMatching, SumMatching])
def test_similarities_given_are_not_changed(kind):
    boxes = scene()
    given = similarities(boxes)
    before = given.copy()
    matching = kind(boxes, (Query(0, PLACES[0], 'p'),), k1=9, k2=9)
    after = matching(0, given, np.arange(len(boxes)))
    assert np.array_equal(given, before)
    assert not np.array_equal(after, before)


def test_images_of_equal_detections():
    boxes = boxes_of([[(0, AXES[0], 1.0), (1, AXES[0], 1.0)]] * 4)
    similarity = np.array([0.1, 0.5, 0.7, 0.2, 0.3, 0.7, 0.9, -1])
    every = np.arange(8)

    def images(kind, k1: int, rows) -> list[int]:
        matching = kind(boxes, (), k1=k1, k2=1)
        return matching.images(similarity, rows).tolist()

    assert images(SumMatching, 3, every) == [3, 1, 2]
    assert images(SumMatching, 9, every[:4]) == [1, 0]
    assert images(SumMatching, 9, every[:0]) == []
    assert images(ContextMatching, 2, every) == [2, 3]  # the last of equals
    assert images(ContextMatching, 3, every) == [1, 2, 3]
    assert images(ContextMatching, 4, every) == [0, 1, 2, 3]
    assert images(ContextMatching, 9, every[:4]) == [0, 1]
    assert images(ContextMatching, 4, every[:4]) == [0, 1]
    assert images(ContextMatching, 9, every[:0]) == []


def test_total_does_not_depend_on_the_order_of_the_sum():
    rng = np.random.default_rng(3)
    graph = rng.uniform(-1, 1, size=(5, 5))
    order = np.concatenate([[0], 1 + rng.permutation(4)])
    total = SumMatching(scene(), (), k1=1, k2=1).value
    value = total(match_query(graph)[1])
    assert value == total(match_query(graph[order])[1])
    assert math.isfinite(value)


def test_rows_bear_the_name_of_the_variant():
    features = random_features(3, ties=False)
    ks = {'k1': 2, 'k2': 3}
    published = evaluate(features, cbgm=ks)
    assert repr(published) == repr(
        evaluate(features, cbgm={**ks, 'variant': 'published'})
    )
    by_sum = evaluate(features, cbgm={**ks, 'variant': 'sum'})
    rows = {key.split('/')[0] for key in by_sum} - {'det'}
    assert rows == {'first', 'first+cbgm-sum', 'second', 'second+cbgm-sum'}
    assert 'first+cbgm/mAP' in published
