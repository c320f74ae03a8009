"""Queries and protocols of a test set as plain arrays, and back.

query_*                     images, bboxes, identities
protocol<i>_*               queries, images, image_offsets, positives,
                            bboxes, positive_offsets, complement
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mmps.structures import Gallery, Protocol, Query


def queries_to_arrays(queries: Sequence[Query]) -> dict[str, np.ndarray]:
    """Flat arrays of all queries."""
    return {
        'query_images': np.array([q.image for q in queries], np.int64),
        'query_bboxes': _boxes([q.bbox for q in queries]),
        'query_identities': np.array(
            [q.identity for q in queries], dtype=np.str_
        ),
    }


def queries_from_arrays(file: Mapping[str, np.ndarray]) -> tuple[Query, ...]:
    """Inverse of ``queries_to_arrays``."""
    return tuple(
        Query(int(image), bbox, str(identity))
        for image, bbox, identity in zip(
            file['query_images'],
            file['query_bboxes'],
            file['query_identities'],
            strict=True,
        )
    )


def protocols_to_arrays(
    protocols: Mapping[str, Protocol],
) -> dict[str, np.ndarray]:
    """Flat arrays of all protocols; their names go elsewhere, in order."""
    arrays = {}
    for number, protocol in enumerate(protocols.values()):
        galleries = protocol.galleries
        images, image_offsets = _flatten(
            [g.images for g in galleries], np.int32
        )
        positives, offsets = _flatten(
            [g.positives for g in galleries], np.int32
        )
        parts = {
            'queries': np.asarray(protocol.queries, np.int64),
            'images': images,
            'image_offsets': image_offsets,
            'positives': positives,
            'positive_offsets': offsets,
            'bboxes': _boxes([b for g in galleries for b in g.bboxes]),
            'complement': np.array([g.complement for g in galleries], bool),
        }
        arrays |= {f'protocol{number}_{key}': v for key, v in parts.items()}
    return arrays


def protocols_from_arrays(
    file: Mapping[str, np.ndarray], names: Sequence[str]
) -> dict[str, Protocol]:
    """Inverse of ``protocols_to_arrays``.

    Args:
        file: The arrays.
        names: Of the protocols, in the order in which they were written.
    """
    return {
        name: _protocol(file, f'protocol{number}_')
        for number, name in enumerate(names)
    }


def _protocol(file: Mapping[str, np.ndarray], prefix: str) -> Protocol:
    images = np.split(
        file[prefix + 'images'], file[prefix + 'image_offsets'][1:-1]
    )
    cuts = file[prefix + 'positive_offsets'][1:-1]
    positives = np.split(file[prefix + 'positives'], cuts)
    bboxes = np.split(file[prefix + 'bboxes'], cuts)
    complement = file[prefix + 'complement']
    if not len(complement):
        return Protocol(file[prefix + 'queries'], ())
    galleries = zip(images, positives, bboxes, complement, strict=True)
    return Protocol(
        file[prefix + 'queries'],
        tuple(Gallery(i, p, b, bool(c)) for i, p, b, c in galleries),
    )


def _flatten(parts: list, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    flat = np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)
    counts = [len(part) for part in parts]
    return flat, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _boxes(parts: list) -> np.ndarray:
    return np.array(parts, np.float64).reshape(-1, 4)
