"""What a query has found: by hand, and against slow loops."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmps.evaluation.features import Boxes
from mmps.evaluation.pair_findings import (
    PairFindings,
    PairTable,
    append_unsearched,
    by_query,
    collect,
    cosines,
    most_similar,
    stack,
)
from mmps.evaluation.scoring import pair_figures
from mmps.structures import Gallery, Protocol
from tests.evaluation.pair_runs import PARTS
from tests.evaluation.random_sets import random_features

BOX = [0.0, 0, 40, 80]


def result(numbers):
    """A detection for each number, which is all over it."""
    numbers = torch.tensor(numbers, dtype=torch.float64)
    return SimpleNamespace(
        bboxes=numbers[:, None].expand(-1, 4),
        scores=numbers / 10,
        similarity=numbers.clone().requires_grad_(),
    )


def test_results_of_pairs_are_collected_one_after_another():
    table = collect([4, 4, 2], [5, 8, 5], map(result, ([3, 3.5], [], [5])))
    assert table.queries.tolist() == [4, 4, 2]
    assert table.images.tolist() == [5, 8, 5]
    assert table.counts.tolist() == [2, 0, 1]
    assert table.bboxes.tolist() == [[3] * 4, [3.5] * 4, [5] * 4]
    np.testing.assert_allclose(table.scores, [0.3, 0.35, 0.5])
    assert table.similarity.tolist() == [3, 3.5, 5]
    for name in ('bboxes', 'scores', 'similarity'):
        assert getattr(table, name).dtype == np.float32


@pytest.mark.parametrize('images', [[], [2]])
def test_nothing_found_is_collected_with_its_shape(images):
    table = collect([7] * len(images), images, [result([])] * len(images))
    findings = table.of_query(7)
    assert findings.images.tolist() == images
    assert findings.counts.tolist() == [0] * len(images)
    assert findings.bboxes.shape == (0, 4)
    assert findings.scores.shape == findings.similarity.shape == (0,)
    assert findings.boxes(3).num_images == 3
    assert len(table.above(0.5).scores) == 0
    assert len(stack([]).images) == 0


def random_table(seed, pairs=30):
    """Queries 0 to 3 and images 0 to 6, some pairs several times."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, pairs)
    boxes = int(counts.sum())
    return PairTable(
        rng.integers(0, 4, pairs),
        rng.integers(0, 7, pairs),
        counts,
        rng.random((boxes, 4)).astype(np.float32),
        rng.integers(0, 5, boxes).astype(np.float32) / 4,
        np.arange(boxes, dtype=np.float32),
    )


def pairs_of(table):
    """[(query, image, [(score, similarity), ...]), ...] by a loop."""
    rows, start = [], 0
    for query, image, count in zip(
        table.queries.tolist(),
        table.images.tolist(),
        table.counts.tolist(),
        strict=True,
    ):
        part = slice(start, start + count)
        boxes = zip(
            table.scores[part].tolist(),
            table.similarity[part].tolist(),
            strict=True,
        )
        rows.append((query, image, list(boxes)))
        start += count
    assert start == len(table.scores) == len(table.bboxes)
    return rows


@pytest.mark.parametrize('seed', range(5))
def test_tables_are_cut_and_put_together_as_lists_are(seed):
    table = random_table(seed)
    rows = pairs_of(table)
    some = np.random.default_rng(seed).integers(0, len(rows), 12)
    assert pairs_of(table.take(some)) == [rows[i] for i in some]
    assert pairs_of(table.above(0.5)) == [
        (query, image, [box for box in boxes if box[0] >= 0.5])
        for query, image, boxes in rows
    ]
    other = random_table(seed + 100)
    assert pairs_of(stack([table, other])) == rows + pairs_of(other)
    wanted = {1: np.array([0, 2, 5]), 3: np.arange(7), 9: np.array([1])}
    for query, found in by_query(table, wanted).items():
        expected = {}
        for q, image, boxes in rows:  # of several the first
            if q == query and image in wanted[query]:
                expected.setdefault(image, boxes)
        assert found.images.tolist() == sorted(expected)
        boxes = [box for image in sorted(expected) for box in expected[image]]
        assert found.scores.tolist() == [score for score, _ in boxes]
        assert found.similarity.tolist() == [place for _, place in boxes]
        assert found.counts.tolist() == [
            len(expected[image]) for image in sorted(expected)
        ]


def plain_features(images):
    """One query, at angle 0; images as lists of (angle, score)."""

    def unit(angles):
        rad = np.deg2rad(np.array(angles, np.float64))
        return np.stack([np.cos(rad), np.sin(rad)], 1).astype(np.float32)

    flat = [detection for image in images for detection in image]
    counts = [len(image) for image in images]
    boxes = Boxes(
        np.tile(np.array(BOX, np.float32), (len(flat), 1)),
        np.array([score for _, score in flat], np.float32),
        unit([angle for angle, _ in flat]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )
    return SimpleNamespace(detections=boxes, query_embeddings=unit([0]))


PLAIN = [[(60, 0.9)], [], [(180, 0.9), (0, 0.6)], [(90, 0.7)]]


def run_on_first():
    """The query was run on image 0 alone, and nothing is less similar."""
    return PairFindings(
        np.array([0]),
        np.array([1]),
        np.array([BOX], np.float32),
        np.array([0.95], np.float32),
        np.array([-0.99], np.float32),
    )


def test_cosines_are_those_of_the_image():
    plain = plain_features(PLAIN)
    np.testing.assert_allclose(cosines(plain, 0, 2), [-1, 1], atol=1e-6)
    assert cosines(plain, 0, 1).shape == (0,)


@pytest.mark.parametrize('ties', [True, False])
@pytest.mark.parametrize('seed', range(5))
def test_cosines_are_the_products_written_out(seed, ties):
    features = random_features(seed, ties)
    offsets = features.detections.offsets.tolist()
    for query, wanted in enumerate(features.query_embeddings.tolist()):
        for image, start in enumerate(offsets[:-1]):
            rows = features.detections.embeddings[start : offsets[image + 1]]
            expected = [
                sum(a * b for a, b in zip(row, wanted, strict=True))
                for row in rows.tolist()
            ]
            np.testing.assert_allclose(
                cosines(features, query, image), expected, atol=1e-12
            )


@pytest.mark.parametrize(
    ('images', 'num', 'expected'),
    [
        ([0, 1, 2, 3], 1, [2]),  # by its best detection, not by its first
        ([0, 1, 2, 3], 2, [0, 2]),
        ([0, 1, 2, 3], 3, [0, 2, 3]),  # none detected is last
        ([3, 1, 0], 2, [0, 3]),
        ([3, 1, 0], 3, [3, 1, 0]),
        ([3], 5, [3]),
        ([], 1, []),
    ],
)
def test_the_most_similar_images_by_hand(images, num, expected):
    best = most_similar(
        plain_features(PLAIN), 0, np.array(images, np.int64), num
    )
    assert best.tolist() == expected


@pytest.mark.parametrize('seed', range(10))
def test_the_most_similar_images_are_those_of_a_sorted_list(seed):
    features = random_features(seed)
    num_images = features.detections.num_images
    given = np.random.default_rng(seed).permutation(num_images)
    for query in range(len(features.queries)):
        ranked = []
        for position, image in enumerate(given.tolist()):
            found = cosines(features, query, image).tolist()
            ranked.append((-max(found, default=-2), position, image))
        ranked.sort()  # equal ones in the order given
        for num in range(1, num_images):
            best = most_similar(features, query, given, num)
            expected = sorted(image for _, _, image in ranked[:num])
            assert best.tolist() == expected


def test_images_that_were_not_run_follow_in_their_plain_order():
    plain = plain_features(PLAIN)
    whole = append_unsearched(run_on_first(), 0, np.arange(4), plain)
    assert whole.images.tolist() == [0, 1, 2, 3]
    assert whole.counts.tolist() == [1, 0, 2, 1]
    assert whole.bboxes.tolist() == [BOX] * 4
    first, *rest = whole.similarity.tolist()
    assert first == np.float32(-0.99)
    assert max(rest) < -0.99
    opposite, equal, across = rest
    assert equal > across > opposite
    assert equal - across == pytest.approx(1, abs=1e-6)


def test_nothing_follows_when_all_images_were_run():
    found = run_on_first()
    whole = append_unsearched(found, 0, np.array([0]), plain_features(PLAIN))
    for part in PARTS:
        np.testing.assert_array_equal(
            getattr(whole, part), getattr(found, part)
        )


@pytest.mark.parametrize('person', [0, 2, 3])
def test_images_that_were_not_run_stay_behind_with_cws(person):
    gallery = Gallery(
        np.arange(4), np.array([person]), np.array([BOX], np.float64)
    )
    protocols = {'P': Protocol(np.array([0]), (gallery,))}
    whole = append_unsearched(
        run_on_first(), 0, np.arange(4), plain_features(PLAIN)
    )
    figures = pair_figures({0: whole}, protocols, 4, cws=True)
    rank = {0: 1, 2: 2, 3: 3}[person]
    for row in ('P', 'P+cws'):
        assert figures[f'{row}/mAP'] == pytest.approx(1 / rank), row
