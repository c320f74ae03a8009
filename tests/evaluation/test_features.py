"""Images that come in any order, twice, or not at all."""

import dataclasses

import numpy as np
import pytest

from mmps.evaluation.features import Boxes, Features, iou
from mmps.evaluation.records import gather
from mmps.structures import Gallery, Protocol
from tests.evaluation import reference
from tests.evaluation.random_sets import random_boxes, random_features


def records_of(features: Features) -> list[dict]:
    """What a pass over the set would have collected, image by image."""
    records = []
    for i in range(len(features.image_names)):
        found, people = features.detections.of(i), features.ground_truth.of(i)
        here = [n for n, q in enumerate(features.queries) if q.image == i]
        records.append(
            {
                'img_id': i,
                'bboxes': features.detections.bboxes[found],
                'scores': features.detections.scores[found],
                'embeddings': features.detections.embeddings[found],
                'gt_bboxes': features.ground_truth.bboxes[people],
                'gt_ids': features.gt_ids[people],
                'gt_embeddings': features.ground_truth.embeddings[people],
                'query_ids': np.array(here, np.int64),
                'query_embeddings': features.query_embeddings[here],
            }
        )
    return records


def gathered(features: Features, records: list[dict]) -> Features:
    return gather(
        records, features.image_names, features.queries, features.protocols
    )


def assert_equal(features: Features, other: Features) -> None:
    for boxes, others in (
        (features.detections, other.detections),
        (features.ground_truth, other.ground_truth),
    ):
        for field in dataclasses.fields(Boxes):
            name = field.name
            assert np.array_equal(getattr(boxes, name), getattr(others, name))
    assert np.array_equal(features.gt_ids, other.gt_ids)
    assert np.array_equal(features.query_embeddings, other.query_embeddings)
    assert list(features.image_names) == list(other.image_names)


def big(seed: int = 0) -> Features:
    """A random set with several images, detections, people and queries."""
    while True:
        features = random_features(seed)
        counts = np.diff(features.detections.offsets)
        people = np.diff(features.ground_truth.offsets)
        if len(counts) > 3 and counts[0] and people[0]:
            return features
        seed += 1


def test_iou_is_the_reference():
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 30), random_boxes(rng, 20)
    a[0, 2:] = a[0, :2]  # no area
    b[0] = a[0]
    expected = [[reference.iou(x, y) for y in b] for x in a]
    assert iou(a[:, None], b[None]).tolist() == expected


def test_boxes_are_counted_in_each_image():
    boxes = Boxes(np.zeros((5, 4)), np.ones(5), None, np.array([0, 2, 2, 5]))
    assert boxes.image.tolist() == [0, 0, 2, 2, 2]
    assert boxes.numbers.tolist() == [0, 1, 0, 1, 2]


def test_order_and_padding_change_nothing():
    features = big()
    records = records_of(features)
    assert_equal(gathered(features, records), features)
    order = np.random.default_rng(0).permutation(len(records))
    padded = [records[i] for i in order] + [dict(records[1])]
    assert_equal(gathered(features, padded), features)


def test_images_without_boxes_need_no_embedding_size():
    features = big()
    records = records_of(features)
    for record in records:
        if not len(record['bboxes']):
            record['embeddings'] = np.zeros((0, 0), np.float32)
    assert_equal(gathered(features, records), features)


def change(record: dict, name: str, value) -> None:
    record[name] = record[name].copy()
    record[name][0] = value


def without_last(records):
    records.pop()


def twice(records):
    records.append(dict(records[0], scores=records[0]['scores'] / 2))


def foreign(records):
    records[0]['img_id'] = 99


def no_query(records):
    for record in records:
        record['query_ids'] = record['query_ids'][:0]
        record['query_embeddings'] = record['query_embeddings'][:0]


def unknown_query(records):
    records[0]['query_ids'] = np.array([99])
    records[0]['query_embeddings'] = records[0]['embeddings'][:1]


def no_embeddings(records):
    for record in records:
        record['embeddings'] = None


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (without_last, r'1 of \d images were not tested, the first is'),
        (twice, r"'s0\.jpg' \(img_id 0\) came twice with different results"),
        (foreign, 'img_id 99 is not an image of the test set'),
        (no_query, r'query 0 \(image .*\) has no embedding'),
        (unknown_query, r"'s0\.jpg' has an embedding of query 99"),
        (no_embeddings, 'the model returns no embeddings'),
        (
            lambda r: change(r[0], 'bboxes', [1, 2, 3, np.nan]),
            r"detections of image 's0\.jpg', box 0: coordinates are not",
        ),
        (
            lambda r: change(r[0], 'bboxes', [9, 9, 8, 10]),
            'not x1 y1 x2 y2',
        ),
        (
            lambda r: change(r[0], 'gt_bboxes', np.inf),
            r"ground truth of image 's0\.jpg', box 0: coordinates are not",
        ),
        (
            lambda r: change(r[0], 'scores', np.nan),
            'the score is not finite',
        ),
        (
            lambda r: change(r[0], 'embeddings', np.nan),
            'the embedding is not finite',
        ),
        (
            lambda r: r[0].update(embeddings=r[0]['embeddings'] * 1.01),
            'the embedding has length 1.01, expected 1 within 0.001',
        ),
        (
            lambda r: r[0].update(gt_embeddings=r[0]['gt_embeddings'] * 0),
            'the embedding has length 0, expected 1',
        ),
        (
            lambda r: r[0].update(embeddings=r[0]['embeddings'][1:]),
            'expected',
        ),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(spoil, message):
    features = big()
    records = records_of(features)
    spoil(records)
    with pytest.raises(ValueError, match=message):
        gathered(features, records)


def test_query_answered_by_another_image_is_refused():
    features = big()
    records = records_of(features)
    own = features.queries[0].image
    other = records[(own + 1) % len(records)]
    other['query_ids'] = np.append(other['query_ids'], 0)
    other['query_embeddings'] = np.concatenate(
        [other['query_embeddings'], features.query_embeddings[:1]]
    )
    with pytest.raises(ValueError, match='query 0 is in image'):
        gathered(features, records)


def several_queries() -> Features:
    return next(f for f in map(big, range(100)) if len(f.queries) > 2)


def test_query_embedding_is_checked():
    features = several_queries()
    wrong = features.query_embeddings.copy()
    wrong[1] *= 0.5
    with pytest.raises(ValueError, match=r'query 1 .*has length 0\.5'):
        dataclasses.replace(features, query_embeddings=wrong)


def test_embeddings_of_different_sizes_are_refused():
    features = big()
    dims = features.query_embeddings.shape[1]
    wrong = np.eye(dims + 1, dtype=np.float32)[[0] * len(features.queries)]
    with pytest.raises(ValueError, match=f'embeddings of {dims} numbers'):
        dataclasses.replace(features, query_embeddings=wrong)


def test_detection_alone_needs_neither_queries_nor_embeddings():
    features = big()
    records = records_of(features)
    no_embeddings(records)
    bare = gather(records, features.image_names)
    assert bare.detections.embeddings is None
    assert len(bare.detections) == len(features.detections)


@pytest.mark.parametrize(
    ('offsets', 'message'),
    [
        ([], 'offsets do not cut 3 boxes'),
        ([0, 2, 1, 3], 'offsets do not cut 3 boxes'),
        ([1, 2, 2, 3], 'offsets do not cut 3 boxes'),
        ([0, 2, 2, 4], 'offsets do not cut 3 boxes'),
        ([0, 2, 3], 'boxes of 2 images, but the test set has 3'),
        ([0, 2, 2, 3], None),
    ],
)
def test_offsets_must_fit(offsets, message):
    boxes = Boxes(
        random_boxes(np.random.default_rng(0), 3),
        np.ones(3, np.float32),
        None,
        np.array(offsets, np.int64),
    )
    if message is None:
        boxes.check('detections', ['a', 'b', 'c'])
    else:
        with pytest.raises(ValueError, match=message):
            boxes.check('detections', ['a', 'b', 'c'])


def test_shapes_must_fit():
    features = big()
    found = features.detections
    for changed in (
        {'scores': found.scores[1:]},
        {'bboxes': found.bboxes[:, :3]},
        {'embeddings': found.embeddings[1:]},
    ):
        with pytest.raises(ValueError, match='expected'):
            dataclasses.replace(
                features, detections=dataclasses.replace(found, **changed)
            )
    with pytest.raises(ValueError, match='identities for'):
        dataclasses.replace(features, gt_ids=features.gt_ids[1:])
    with pytest.raises(ValueError, match='query embeddings for'):
        dataclasses.replace(
            features, query_embeddings=features.query_embeddings[1:]
        )


@pytest.mark.parametrize(
    ('queries', 'num_galleries', 'message'),
    [
        ([0, 0], 1, '2 queries but 1 galleries'),
        ([0, 99], 2, 'asks for query 99'),
        ([-1], 1, 'asks for query -1'),
    ],
)
def test_protocol_must_fit_the_queries(queries, num_galleries, message):
    gallery = Gallery(np.array([0]), np.array([], int), np.zeros((0, 4)))
    protocol = Protocol(np.array(queries), (gallery,) * num_galleries)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(big(), protocols={'p': protocol})


def test_query_one_beyond_the_last_is_refused():
    features = several_queries()
    gallery = Gallery(np.array([0]), np.array([], int), np.zeros((0, 4)))
    number = len(features.queries)
    protocol = Protocol(np.array([number]), (gallery,))
    with pytest.raises(ValueError, match=f'asks for query {number}; the'):
        dataclasses.replace(features, protocols={'p': protocol})


def test_query_in_an_image_that_does_not_exist():
    features = several_queries()
    beyond = len(features.image_names)
    for image in (-1, beyond):
        lost = dataclasses.replace(features.queries[1], image=image)
        queries = (features.queries[0], lost, *features.queries[2:])
        with pytest.raises(ValueError, match=f'query 1 is in .* {image} of'):
            dataclasses.replace(features, queries=queries)
