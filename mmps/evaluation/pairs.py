"""Score a search that was run pair by pair.

Symbols used in this file:
    I   images of the test set

A query-guided network finds other boxes in an image for each query, and gives
their similarity itself. For one query they are boxes with a number, which is
all that a protocol needs: each query is scored as a search of its own.
"""

from collections import defaultdict
from collections.abc import Container, Mapping

import numpy as np

from mmps.structures import Gallery, Protocol

from .features import Boxes
from .galleries import listings
from .pair_findings import PairFindings
from .search import SearchScore, score_search

_KINDS = dict(
    average_precision=np.float64,
    rank=np.int64,
    num_gt=np.int64,
    num_found=np.int64,
)


def images_to_search(
    protocols: Mapping[str, Protocol], num_images: int
) -> dict[int, np.ndarray]:
    """Which images each query must be run on, for all of its protocols.

    Returns:
        Query -> (n,) ascending image indices, each once.
    """
    wanted = defaultdict(list)
    for name, protocol in protocols.items():
        for position, query in enumerate(np.asarray(protocol.queries)):
            gallery: Gallery = protocol.galleries[position]
            wanted[int(query)].append(
                listings(name, position, gallery, num_images) > 0
            )
    return {
        query: np.flatnonzero(np.any(parts, axis=0))
        for query, parts in sorted(wanted.items())
    }


def only(protocol: Protocol, queries: Container[int]) -> Protocol:
    """The part of a protocol with these queries."""
    kept = [
        position
        for position, query in enumerate(np.asarray(protocol.queries))
        if int(query) in queries
    ]
    return Protocol(
        np.asarray(protocol.queries)[kept],
        tuple(protocol.galleries[position] for position in kept),
    )


def score_pairs(
    findings: Mapping[int, PairFindings],
    protocols: Mapping[str, Protocol],
    num_images: int,
    *,
    duplicates: str = 'seqnet',
    cws: bool = False,
) -> dict[str, SearchScore]:
    """Score all protocols.

    Args:
        findings: Query number -> findings; every query of the protocols is
            there.
        protocols: name -> protocol.
        num_images: I.
        duplicates: ``'seqnet'``, ``'oim'`` or ``'unique'``: how an image that
            a gallery lists twice counts, see ``search.score_search``.
        cws: Similarity times detection score.

    Raises:
        ValueError: A query was not run on an image of its gallery.
    """
    scores = {name: [] for name in protocols}
    boxes: dict[int, Boxes] = {}
    for name, protocol in protocols.items():
        for position, query in enumerate(np.asarray(protocol.queries)):
            query = int(query)
            gallery = protocol.galleries[position]
            _check_complete(name, query, findings, gallery, num_images)
            if query not in boxes:
                boxes[query] = findings[query].boxes(num_images)
            one_query = Protocol(np.array([0]), (gallery,))
            (score,) = score_search(
                boxes[query],
                np.ones((1, 1)),
                {name: one_query},
                duplicates=duplicates,
                cws=cws,
            ).values()
            scores[name].append(score)
    return {
        name: SearchScore(
            *(
                np.concatenate(
                    [np.zeros(0, kind), *(getattr(s, part) for s in parts)]
                )
                for part, kind in _KINDS.items()
            )
        )
        for name, parts in scores.items()
    }


def _check_complete(
    name: str,
    query: int,
    findings: Mapping[int, PairFindings],
    gallery: Gallery,
    num_images: int,
) -> None:
    run = findings[query].images if query in findings else np.zeros(0, int)
    listed = listings(name, 0, gallery, num_images) > 0
    missing = np.setdiff1d(np.flatnonzero(listed), run)
    if len(missing):
        raise ValueError(
            f"protocol '{name}': query {query} was not run on {len(missing)} "
            f'images of its gallery, the first is image {missing[0]}'
        )
