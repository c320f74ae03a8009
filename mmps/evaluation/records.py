"""From the records of single images to the ``Features`` of a test set.

Symbols used in this file:
    I   images of the test set
    M   boxes of all images together
    Q   queries of the test set

Records come in any order, from any number of processes, and the last round of
a distributed test brings some of them twice.
"""

from collections.abc import Sequence

import numpy as np

from mmps.structures import Protocol, Query

from .features import Boxes, Features


def gather(
    records: Sequence[dict],
    image_names: Sequence[str],
    queries: tuple[Query, ...] = (),
    protocols: dict[str, Protocol] | None = None,
) -> Features:
    """Put the images of a pass, which come in any order, into one Features.

    Args:
        records: One dict per image with ``img_id``, ``bboxes``, ``scores``,
            ``embeddings`` (or None), ``gt_bboxes``, ``gt_ids``,
            ``gt_embeddings`` (or None), ``query_ids`` and
            ``query_embeddings``. An image may come twice if both copies are
            equal to the bit (samplers pad the last batch).
        image_names: Names of the I images of the test set.
        queries: metainfo['queries'] of the test set.
        protocols: Those to be scored.
    """
    images = _by_image(records, image_names)
    detections = _stack(images, 'bboxes', 'scores', 'embeddings')
    ground_truth = _stack(images, 'gt_bboxes', None, 'gt_embeddings')
    return Features(
        image_names=list(image_names),
        detections=detections,
        ground_truth=ground_truth,
        gt_ids=np.concatenate([r['gt_ids'] for r in images] or [[]]),
        queries=tuple(queries),
        query_embeddings=_query_embeddings(images, image_names, queries),
        protocols=dict(protocols or {}),
    )


def _by_image(
    records: Sequence[dict], image_names: Sequence[str]
) -> list[dict]:
    images: dict[int, dict] = {}
    for record in records:
        index = record['img_id']
        if not 0 <= index < len(image_names):
            raise ValueError(
                f'img_id {index} is not an image of the test set, which has '
                f'{len(image_names)}'
            )
        other = images.setdefault(index, record)
        if other is not record and not _same(other, record):
            raise ValueError(
                f"image '{image_names[index]}' (img_id {index}) came twice "
                'with different results; test each image once'
            )
    missing = [i for i in range(len(image_names)) if i not in images]
    if missing:
        raise ValueError(
            f'{len(missing)} of {len(image_names)} images were not tested, '
            f"the first is '{image_names[missing[0]]}' (img_id {missing[0]}); "
            'a search needs the whole test set'
        )
    return [images[i] for i in range(len(image_names))]


def _same(record: dict, other: dict) -> bool:
    return all(
        (value is None and other[key] is None)
        or np.array_equal(value, other[key])
        for key, value in record.items()
    )


def _stack(
    images: list[dict], bboxes: str, scores: str | None, embeddings: str
) -> Boxes:
    counts = [len(record[bboxes]) for record in images]
    flat = np.concatenate(
        [record[bboxes].reshape(-1, 4) for record in images]
        or [np.zeros((0, 4), np.float32)]
    )
    if scores is None:
        points = np.ones(len(flat), np.float32)
    else:
        points = np.concatenate(
            [record[scores] for record in images] or [np.zeros(0, np.float32)]
        )
    filled = [r[embeddings] for r in images if len(r[bboxes])]
    if any(e is None for e in filled):
        vectors = None
    elif filled:
        vectors = np.concatenate(filled)
    else:
        vectors = np.zeros((0, 0), np.float32)
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return Boxes(flat, points, vectors, offsets)


def _query_embeddings(
    images: list[dict],
    image_names: Sequence[str],
    queries: Sequence[Query],
) -> np.ndarray | None:
    found: dict[int, np.ndarray] = {}
    for index, record in enumerate(images if queries else []):
        for number, vector in zip(
            record['query_ids'], record['query_embeddings'], strict=True
        ):
            number = int(number)
            if not 0 <= number < len(queries):
                raise ValueError(
                    f"image '{image_names[index]}' has an embedding of query "
                    f'{number}; the test set has {len(queries)} queries'
                )
            if queries[number].image != index or number in found:
                raise ValueError(
                    f'query {number} is in image '
                    f"'{image_names[queries[number].image]}', but image "
                    f"'{image_names[index]}' gave an embedding for it"
                    + (' again' if number in found else '')
                )
            found[number] = vector
    for number, query in enumerate(queries):
        if number not in found:
            raise ValueError(
                f"query {number} (image '{image_names[query.image]}') has no "
                'embedding; the model must return query_instances.embeddings '
                'for all query_ids that it gets'
            )
    return np.stack([found[n] for n in range(len(queries))]) if found else None
