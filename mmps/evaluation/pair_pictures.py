"""Reads the pictures of a test set in the order in which pairs need them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from torch import Tensor

from .ahead import load_ahead

#: Pictures that each thread may be ahead of their use.
AHEAD = 2


class PairPictures:
    """Items of a test set, read ahead in threads and counted; a context.

    Args:
        dataset: A ``PersonSearchDataset`` in test mode, whole. Its pipeline
            is run in several threads at once.
        threads: How many; 0 reads a picture when it is needed.

    Attributes:
        decoded: How many pictures were read, by what for: 'gallery', 'query'
            and 'plain', the plain pass of a cascade.
    """

    def __init__(self, dataset, threads: int = 0) -> None:
        self.dataset = dataset
        self.decoded = Counter()
        self._depth = AHEAD * threads
        self._pool = ThreadPoolExecutor(threads) if threads else None

    def __enter__(self) -> 'PairPictures':
        return self

    def __exit__(self, *error) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def images(
        self, numbers: Sequence[int], use: str = 'gallery'
    ) -> Iterator[dict]:
        """Packed images.

        Args:
            numbers: Indices in metainfo['image_names'].
            use: What they are counted as.
        """
        for item in self._load(numbers):
            self.decoded[use] += 1
            yield item

    def queries(self, numbers: Sequence[int]) -> Iterator[tuple[dict, Tensor]]:
        """Packed images of queries, and their boxes in original pixels.

        Args:
            numbers: Positions in metainfo['queries'].
        """
        queries = self.dataset.metainfo['queries']
        images = [queries[number].image for number in numbers]
        for number, item in zip(numbers, self._load(images), strict=True):
            self.decoded['query'] += 1
            given = item['data_samples'].query_instances  # cut at the image
            yield item, given.bboxes[given.query_ids == number][0]

    def _load(self, images: Sequence[int]) -> Iterator[dict]:
        return load_ahead(self._item, images, self._pool, self._depth)

    def _item(self, image: int) -> dict:
        item = self.dataset[int(image)]
        found = item['data_samples'].img_id
        if found != image:
            raise ValueError(
                f'item {image} of the test set is image {found}: pairs need '
                'the whole test set, without indices or filter_cfg'
            )
        return item
