"""Context matching: against all permutations, and by hand."""

import math

import numpy as np
import pytest

from mmps.evaluation.cbgm import ContextMatching, best_images, match_query
from mmps.evaluation.features import Boxes
from mmps.structures import Query
from tests.evaluation.reference import best_matching

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
        partner, total = match_query(graph)
        expected, best_partner = best_matching(graph.tolist())
        assert total == pytest.approx(expected, abs=1e-12)
        if decimals is None:
            assert partner == best_partner


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


def revise(boxes: Boxes, images: list[int], k1: int, k2: int) -> np.ndarray:
    matching = ContextMatching(
        boxes, (Query(0, PLACES[0], 'p'),), k1=k1, k2=k2
    )
    rows = np.flatnonzero(np.isin(boxes.image, images))
    return matching(0, similarities(boxes), rows)


def test_context_sends_the_query_to_its_own_place():
    boxes = scene()
    before = similarities(boxes)
    after = revise(boxes, [1, 2], k1=1, k2=2)
    # the neighbours take boxes 4 and 5; total 0.6 + 0.714 + 1
    assert after[3] == pytest.approx(0.6 + 0.714 + 1, abs=1e-3)
    changed = np.flatnonzero(after != before)
    assert changed.tolist() == [3]


def test_only_the_k1_best_images_change():
    boxes = scene()
    before = similarities(boxes)
    # image 2 holds one box: alone with two neighbours the query gets it,
    # as its similarity is the largest, and the total is that similarity
    after = revise(boxes, [1, 2], k1=2, k2=2)
    assert np.flatnonzero(after != before).tolist() == [3]
    # image 1 is not in the gallery
    assert np.array_equal(revise(boxes, [2], k1=2, k2=2), before)


def test_fewer_neighbours_with_smaller_k2():
    after = revise(scene(), [1, 2], k1=1, k2=1)
    # one neighbour, the one of the higher score: 0.6 + 0.714 against
    # 0.7 + 0 for the other way round
    assert after[3] == pytest.approx(0.6 + 0.714, abs=1e-3)


def test_query_left_out_keeps_its_similarities():
    boxes = boxes_of(
        [
            [(0, AXES[0], 0.9), (1, AXES[1], 0.8)],
            [(0, mixed(a0=0.6, a1=0.8), 0.9)],
        ]
    )
    # the neighbour likes the only box better
    after = revise(boxes, [1], k1=1, k2=1)
    assert np.array_equal(after, similarities(boxes))


def test_the_query_is_not_its_own_context():
    boxes = scene()
    query = (Query(0, PLACES[0] + [5, 0, 5, 0], 'p'),)
    matching = ContextMatching(boxes, query, k1=1, k2=5)
    assert matching.context(0).tolist() == [1, 2]
    query = (Query(0, PLACES[0] * [1, 1, 1, 0.5], 'p'),)  # IoU exactly 0.5
    matching = ContextMatching(boxes, query, k1=1, k2=5)
    assert matching.context(0).tolist() == [1, 2]
    query = (Query(0, PLACES[4], 'p'),)  # the detector missed the query
    matching = ContextMatching(boxes, query, k1=1, k2=2)
    assert matching.context(0).tolist() == [0, 1]


def test_similarities_given_are_not_changed():
    boxes = scene()
    given = similarities(boxes)
    before = given.copy()
    matching = ContextMatching(boxes, (Query(0, PLACES[0], 'p'),), k1=9, k2=9)
    matching(0, given, np.arange(len(boxes)))
    assert np.array_equal(given, before)


def test_image_ranks_by_its_best_detection_lower_index_first():
    boxes = boxes_of([[(0, AXES[0], 1.0), (1, AXES[0], 1.0)]] * 4)
    similarity = np.array([0.1, 0.5, 0.7, 0.2, 0.3, 0.7, 0.9, -1])
    every = np.arange(8)
    assert best_images(similarity, every, boxes, 3).tolist() == [3, 1, 2]
    assert best_images(similarity, every[:4], boxes, 9).tolist() == [1, 0]
    assert best_images(similarity, every[:0], boxes, 9).tolist() == []


def test_total_does_not_depend_on_the_order_of_the_sum():
    rng = np.random.default_rng(3)
    graph = rng.uniform(-1, 1, size=(5, 5))
    order = np.concatenate([[0], 1 + rng.permutation(4)])
    assert match_query(graph)[1] == match_query(graph[order])[1]
    assert math.isfinite(match_query(graph)[1])
