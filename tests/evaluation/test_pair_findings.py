"""What a query has found: by hand, and against slow loops."""

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmps.evaluation import pair_findings
from mmps.evaluation.evaluate import pair_figures
from mmps.evaluation.features import Boxes
from mmps.evaluation.pair_findings import (
    behind,
    collect,
    cosines,
    fingerprint,
    most_similar,
    not_done,
    read_findings,
    write_findings,
)
from mmps.evaluation.pairs import PairFindings
from mmps.structures import Gallery, Protocol, Query
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


def test_results_of_a_query_are_collected_image_after_image():
    found = {3: result([3, 3.5]), 8: result([]), 5: result([5])}
    findings = collect(np.array([5, 8, 3]), found)
    assert findings.images.tolist() == [5, 8, 3]
    assert findings.counts.tolist() == [1, 0, 2]
    assert findings.bboxes.tolist() == [[5] * 4, [3] * 4, [3.5] * 4]
    np.testing.assert_allclose(findings.scores, [0.5, 0.3, 0.35])
    assert findings.similarity.tolist() == [5, 3, 3.5]
    for name in ('bboxes', 'scores', 'similarity'):
        assert getattr(findings, name).dtype == np.float32


@pytest.mark.parametrize('images', [[], [2]])
def test_nothing_found_is_collected_with_its_shape(images):
    findings = collect(np.array(images, np.int64), {2: result([])})
    assert findings.images.tolist() == images
    assert findings.counts.tolist() == [0] * len(images)
    assert findings.bboxes.shape == (0, 4)
    assert findings.scores.shape == findings.similarity.shape == (0,)
    assert findings.boxes(3).num_images == 3


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
    whole = behind(run_on_first(), 0, np.arange(4), plain)
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
    whole = behind(found, 0, np.array([0]), plain_features(PLAIN))
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
    whole = behind(run_on_first(), 0, np.arange(4), plain_features(PLAIN))
    figures = pair_figures({0: whole}, protocols, 4, cws=True)
    rank = {0: 1, 2: 2, 3: 3}[person]
    for row in ('P', 'P+cws'):
        assert figures[f'{row}/mAP'] == pytest.approx(1 / rank), row


def test_findings_are_read_as_they_were_written(tmp_path):
    empty = collect(np.array([2, 6]), {2: result([]), 6: result([])})
    findings = {11: run_on_first(), 3: empty}
    file = tmp_path / 'deep' / 'folder' / '11_2.npz'
    write_findings(file, findings)
    assert [path.name for path in file.parent.iterdir()] == ['11_2.npz']
    again = read_findings(file)
    assert again.keys() == {3, 11}
    for query, expected in findings.items():
        for part in PARTS:
            value = getattr(again[query], part)
            np.testing.assert_array_equal(value, getattr(expected, part))
            assert value.dtype == getattr(expected, part).dtype


@pytest.mark.parametrize('broken', ['savez', 'replace'])
def test_a_killed_write_leaves_what_was_there(tmp_path, monkeypatch, broken):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    new, old = tmp_path / 'new.npz', tmp_path / 'old.npz'
    write_findings(old, {3: run_on_first()})
    with monkeypatch.context() as patch:
        owner = np if broken == 'savez' else os
        patch.setattr(owner, broken, killed)
        for file in (new, old):
            with pytest.raises(KeyboardInterrupt):
                write_findings(file, {4: run_on_first()})
    assert [path.name for path in tmp_path.iterdir()] == ['old.npz']
    assert read_findings(old).keys() == {3}
    write_findings(old, {4: run_on_first()})
    assert read_findings(old).keys() == {4}


# --- which groups are done


@pytest.fixture
def said(monkeypatch):
    """What is logged."""
    lines = []
    monkeypatch.setattr(
        pair_findings, 'print_log', lambda text, **options: lines.append(text)
    )
    return lines


@pytest.mark.parametrize('world_size', [1, 2, 3, 7])
@pytest.mark.parametrize('done', [[], [1, 4], range(5)], ids=str)
def test_processes_share_the_groups_that_are_not_done(
    tmp_path, monkeypatch, said, done, world_size
):
    groups = {tmp_path / f'{n}.npz': [n, n + 10] for n in range(5)}
    for number in done:
        (tmp_path / f'{number}.npz').touch()
    for rank in range(world_size):
        monkeypatch.setattr(
            pair_findings,
            'get_dist_info',
            lambda rank=rank: (rank, world_size),
        )
        mine = [n for n in range(5) if n % world_size == rank]
        before = [n for n in mine if n in done]
        assert not_done(groups) == {
            tmp_path / f'{n}.npz': [n, n + 10] for n in mine if n not in done
        }
        line = (
            f'{len(before)} of {len(mine)} groups of queries were done before '
            f'({tmp_path})'
        )
        assert said == ([line] if before else [])
        said.clear()


# --- the fingerprint

WEIGHTS = {'a': torch.tensor([1.0, 2]), 'b': torch.tensor([[3.0]])}
QUERIES = {
    2: Query(image=0, bbox=np.array([1.0, 2, 3, 4]), identity='p1'),
    5: Query(image=1, bbox=np.array([5.0, 6, 7, 8]), identity='p2'),
}


def print_of(weights=WEIGHTS, images=None, queries=QUERIES, **settings):
    """Of one query on two images and one on one; or of something else."""
    images = images or {2: [0, 1], 5: [3]}
    return fingerprint(
        weights,
        queries,
        {query: np.array(wanted) for query, wanted in images.items()},
        {'det_thr': 0.5, 'model': dict(a=1, b='c'), **settings},
    )


def test_a_fingerprint_is_a_short_name_of_a_folder():
    assert len(print_of()) == 16
    assert print_of().isalnum()


@pytest.mark.parametrize(
    'change',
    [
        dict(),
        dict(weights=dict(reversed(WEIGHTS.items()))),
        dict(weights={**WEIGHTS, 'a': torch.tensor([1.0, 9, 2, 9])[::2]}),
        dict(queries={**QUERIES, 5: replace(QUERIES[5], identity='p3')}),
        dict(model=dict(b='c', a=1)),
    ],
    ids=[
        *('nothing', 'order of weights', 'strides of a weight'),
        *('identity', 'order of settings'),
    ],
)
def test_what_findings_do_not_depend_on_leaves_the_fingerprint(change):
    assert print_of(**change) == print_of()


@pytest.mark.parametrize(
    'change',
    [
        dict(weights={**WEIGHTS, 'b': torch.tensor([[3.1]])}),
        dict(weights={'a': WEIGHTS['a'], 'c': WEIGHTS['b']}),
        dict(weights={'a': WEIGHTS['a']}),
        dict(queries={**QUERIES, 5: replace(QUERIES[5], image=2)}),
        dict(queries={**QUERIES, 5: replace(QUERIES[5], bbox=np.ones(4))}),
        dict(
            queries={**QUERIES, 7: QUERIES[5]},
            images={2: [0, 1], 5: [3], 7: [3]},
        ),
        dict(
            queries={2: QUERIES[2], 7: QUERIES[5]}, images={2: [0, 1], 7: [3]}
        ),
        # all numbers of the other query, as if they were images
        dict(queries={2: QUERIES[2]}, images={2: [0, 1, 5, 1, 5, 6, 7, 8, 3]}),
        dict(images={2: [0, 1], 5: [4]}),
        dict(images={2: [0], 5: [1, 3]}),
        dict(images={2: [0, 1], 5: []}),
        dict(det_thr=0.4),
        dict(model=dict(a=1, b='d')),
        dict(more=None),
    ],
    ids=[
        *('a weight', 'name of a weight', 'fewer weights'),
        *('image of a query', 'box of a query', 'one more query'),
        *('number of a query', 'a query as images'),
        *('an image', 'whose image', 'fewer images'),
        *('a setting', 'a nested setting', 'one more setting'),
    ],
)
def test_what_findings_depend_on_changes_the_fingerprint(change):
    assert print_of(**change) != print_of()
