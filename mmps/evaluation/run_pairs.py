"""Run pairs of queries and gallery images, each prepared once."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
from mmdet.structures import DetDataSample
from torch import Tensor


def preprocessed(model, item: dict) -> tuple[Tensor, DetDataSample]:
    """(1, 3, H, W) input of a network and its sample, of one packed image."""
    data = model.data_preprocessor(
        dict(inputs=[item['inputs']], data_samples=[item['data_samples']]),
        False,
    )
    return data['inputs'], data['data_samples'][0]


def begin_gallery(searcher, inputs: Tensor, sample: DetDataSample):
    """What ``searcher`` keeps of a gallery image, ``preprocessed``."""
    return searcher.gallery(inputs, sample.metainfo)


def begin_query(searcher, inputs: Tensor, sample: DetDataSample, box: Tensor):
    """What ``searcher`` keeps of a query.

    Args:
        searcher: The model's ``pair_searcher``.
        inputs: See ``preprocessed``.
        sample: The same.
        box: (4,) in original pixels, inside the image.
    """
    box = box.float()
    factor = box.new_tensor(sample.metainfo['scale_factor']).repeat(2)
    return searcher.query(inputs, sample.metainfo, box * factor)


def run_pairs(
    searcher,
    images: dict[int, np.ndarray],
    query_state: Callable[[int], object],
    gallery_state: Callable[[int], object],
    batch_size: int,
    done: Callable[[int], object] = int,
) -> dict[int, dict]:
    """Run a group of queries, each image prepared as seldom as it can.

    Args:
        searcher: Of the model; its cache keeps gallery images.
        images: Query -> images to run it on.
        query_state: Query -> what ``searcher.query`` makes of it.
        gallery_state: Image -> what ``searcher.gallery`` makes of it.
        batch_size: Pairs at a time.
        done: Told after each batch how many pairs it had.

    Returns:
        Query -> image -> result.
    """
    found = {query: {} for query in images}
    states = {}
    for batch in batched(pairs_in_order(images, searcher.gated), batch_size):
        pairs = []
        for query, image in batch:
            if query not in states:
                states[query] = query_state(query)
            gallery = searcher.cache.get(image)
            if gallery is None:
                gallery = gallery_state(image)
                searcher.cache.put(image, gallery)
            pairs.append((states[query], gallery))
        results = searcher.search(pairs)
        for (query, image), result in zip(batch, results, strict=True):
            found[query][image] = result
        searcher.cache.shrink()
        if searcher.gated:  # whole maps, and each query is run at one go
            states = {query: states[query]}
        done(len(batch))
    return found


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Lists of ``size`` items, the last one shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def pairs_in_order(
    images: dict[int, np.ndarray], query_by_query: bool
) -> Iterator[tuple[int, int]]:
    """Pairs (query, image) so that what is kept is used while it is there.

    Args:
        images: Of every query of a group.
        query_by_query: Else image by image.
    """
    pairs = [
        (query, int(i)) for query, wanted in images.items() for i in wanted
    ]
    if not query_by_query:
        pairs.sort(key=lambda pair: pair[1])
    yield from pairs
