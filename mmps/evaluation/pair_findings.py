"""What a query has found: put together, ranked behind, written, read.

Symbols used in this file:
    M   boxes that one query has found, in all images together
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from torch import Tensor

from mmps.structures import Query

from .features import Features
from .npz import write_npz
from .pairs import PairFindings

_PARTS = ('images', 'counts', 'bboxes', 'scores', 'similarity')
#: Below every similarity of a pair: what the cascade did not run is ranked
#: behind, by cosine.
_BEHIND = -2.0


def collect(images: np.ndarray, found: Mapping[int, object]) -> PairFindings:
    """Put the results of one query together."""
    results = [found[int(image)] for image in images]

    def rows(name: str, shape: tuple) -> np.ndarray:
        parts = [
            getattr(result, name).detach().cpu().float().numpy()
            for result in results
        ]
        return np.concatenate(parts or [np.zeros(shape, np.float32)])

    return PairFindings(
        np.asarray(images, np.int64),
        np.array([len(result.scores) for result in results], np.int64),
        rows('bboxes', (0, 4)),
        rows('scores', (0,)),
        rows('similarity', (0,)),
    )


def cosines(plain: Features, query: int, image: int) -> np.ndarray:
    """Of a query and the detections of an image, each embedded alone."""
    rows = plain.detections.of(image)
    embeddings = plain.detections.embeddings[rows].astype(np.float64)
    return embeddings @ plain.query_embeddings[query].astype(np.float64)


def most_similar(
    plain: Features, query: int, images: np.ndarray, num: int
) -> np.ndarray:
    """The ``num`` images whose best detection is most similar, ascending.

    All of them if there are no more. Equal ones count in the order given,
    images without a detection last.
    """
    if len(images) <= num:
        return images
    best = [cosines(plain, query, i).max(initial=-np.inf) for i in images]
    order = np.argsort(-np.array(best), kind='stable')
    return np.sort(images[order[:num]])


def behind(
    findings: PairFindings, query: int, images: np.ndarray, plain: Features
) -> PairFindings:
    """Add the images that were not run, behind all that were."""
    rest = np.setdiff1d(images, findings.images)
    rows = [plain.detections.of(int(image)) for image in rest]
    more = [
        (
            plain.detections.bboxes[part],
            # with cws too they stay behind, and in their order
            np.ones_like(plain.detections.scores[part]),
            cosines(plain, query, int(image)) + _BEHIND,
        )
        for part, image in zip(rows, rest, strict=True)
    ]
    columns = zip(*more, strict=True) if more else ((), (), ())
    bboxes, scores, similarity = (
        np.concatenate([own, *parts])
        for own, parts in zip(
            (findings.bboxes, findings.scores, findings.similarity),
            columns,
            strict=True,
        )
    )
    return PairFindings(
        np.concatenate([findings.images, rest]),
        np.concatenate(
            [findings.counts, [len(part[1]) for part in more]]
        ).astype(np.int64),
        bboxes,
        scores,
        similarity,
    )


def fingerprint(
    weights: Mapping[str, Tensor],
    queries: Mapping[int, Query],
    images: Mapping[int, np.ndarray],
    settings: dict,
) -> str:
    """Sixteen characters of all that findings depend on.

    Args:
        weights: Of the network.
        queries: Number -> query.
        images: Number -> images that the query is run on. Of pictures, their
            names count, which are among the settings.
        settings: Anything that JSON or ``str`` can tell.
    """
    digest = hashlib.sha256()
    for key, value in sorted(weights.items()):
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    for number, query in queries.items():
        for value in ([number, query.image], query.bbox, images[number]):
            value = np.asarray(value, np.float64)
            digest.update(f'{value.shape}'.encode() + value.tobytes())
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def write_findings(file: Path, findings: dict[int, PairFindings]) -> None:
    """Write a group so that the file is there whole or not at all."""
    arrays = {
        f'{query}/{part}': getattr(found, part)
        for query, found in findings.items()
        for part in _PARTS
    }
    write_npz(file, arrays)


def read_findings(file: Path) -> dict[int, PairFindings]:
    """Inverse of ``write_findings``."""
    with np.load(file) as arrays:
        queries = {key.split('/')[0] for key in arrays.files}
        return {
            int(query): PairFindings(
                *(arrays[f'{query}/{part}'] for part in _PARTS)
            )
            for query in queries
        }


def not_done(groups: Mapping[Path, list[int]]) -> dict[Path, list[int]]:
    """The groups of this process whose findings are not written yet.

    Args:
        groups: File -> queries; every process gets each ``world_size``-th.
    """
    rank, world_size = get_dist_info()
    mine = dict(list(groups.items())[rank::world_size])
    todo = {file: mine[file] for file in mine if not file.exists()}
    if len(todo) < len(mine):
        print_log(
            f'{len(mine) - len(todo)} of {len(mine)} groups of queries '
            f'were done before ({next(iter(mine)).parent})',
            logger='current',
        )
    return todo
