"""The most similar people of many queries, in one pass over all people.

Symbols used in this file:
    K   queries
    D   size of an embedding
    C   numbers of a label
    n   people of a block
"""

from collections.abc import Iterable

import numpy as np

from .gallery_index import exact_similarity, may_be_first


def nearest(
    queries: np.ndarray,
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],
    top: int,
) -> list[np.ndarray]:
    """Whom an exhaustive search would find, for each query.

    A product in float32 leaves out who cannot be among the first; the order
    of the others is that of ``GalleryIndex``.

    Args:
        queries: (K, D) float32 of unit length.
        blocks: Embeddings (n, D) float32, and labels (n, C), numbers that
            tell people apart; equally similar ones are in their order.
        top: How many.

    Returns:
        K arrays with the labels of the best ``top``, or of fewer if there
        are no more people.
    """
    kept: list[tuple] = [()] * len(queries)
    for embeddings, labels in blocks:
        for k, product in enumerate((embeddings @ queries.T).T):
            rows = may_be_first(product, top, queries.shape[1])
            found = product[rows], embeddings[rows], labels[rows]
            if kept[k]:
                pairs = zip(kept[k], found, strict=True)
                found = tuple(map(np.concatenate, pairs))
            rows = may_be_first(found[0], top, queries.shape[1])
            kept[k] = tuple(part[rows] for part in found)
    best = []
    for query, (_, embeddings, labels) in zip(queries, kept, strict=True):
        exact = exact_similarity(embeddings, query)
        order = np.lexsort((*labels.T[::-1], -exact))[:top]
        best.append(labels[order])
    return best
