"""Search for a person in pictures that belong to no data set.

Symbols used in this file:
    I   pictures of the gallery
    M   detections of all pictures together
    D   size of an embedding
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from mmps.datasets.errors import DatasetError
from mmps.evaluation.features import Boxes, joined

from .gallery_index import GalleryIndex
from .gallery_store import GalleryStore, best_pictures
from .log import log
from .match_text import left_out, other_files
from .matches import Match, Source
from .onnx_network import OnnxNetwork, is_exported
from .origins import Origins
from .people import SearchNetwork
from .scenes import (
    Picture,
    Scene,
    again,
    as_scene,
    listing,
    num_scenes,
    scenes,
)
from .where import Where

Gallery = Picture | Sequence[Picture]
#: Shows how far a search is: gets the pictures and about how many they are,
#: returns them, as ``tqdm(pictures, total=total)`` does.
Progress = Callable[[Iterable[Scene], int], Iterable[Scene]]
#: Whether to leave out broken pictures; or what is called with their errors.
SkipBroken = bool | Callable[[DatasetError], object]


class PersonSearchInferencer:
    """Finds the person of a box in other pictures.

    Pictures go through the test pipeline of the config, so that boxes and
    embeddings are those of ``mmps test``. A query-guided network (QEEPS)
    looks at each gallery picture together with the query; what it keeps of
    gallery pictures serves the next query.

    Nothing is written unless a path is given.

    Args:
        model: 'zoo://NAME', or the path of a config. A config is never taken
            out of a checkpoint: configs are programs. Or an exported network
            (``mmps export``): its folder, or a file of it; it runs on
            onnxruntime, without torch.
        weights: Path or address of a checkpoint; those of the zoo for None.
            An exported network has its own.
        device: 'cpu', 'cuda', ...; a GPU if there is one for None.
        det_thr: Detections below this score are not there; the config's
            ``test_evaluator.det_thr`` (0.5) for None.
        cache_mb: Bound of what a query-guided network keeps, in MB.

    Raises:
        CheckpointError: Weights are missing, damaged or of another network.
        FileNotFoundError: No such config.
        InputError: An exported network is damaged or mixed with another.
        ValueError: No weights, no embeddings, or no such device.
    """

    def __init__(
        self,
        model: str,
        weights: str | None = None,
        device: str | None = None,
        *,
        det_thr: float | None = None,
        cache_mb: float = 1024,
    ) -> None:
        self.network = open_network(model, weights, device)
        self.det_thr = self.network.det_thr if det_thr is None else det_thr
        if not 0 <= self.det_thr <= 1:
            raise ValueError(f'det_thr must be in [0, 1], got {self.det_thr}')
        self._ranker = None
        if self.network.query_guided:
            from .pair_ranking import PairRanker

            self._ranker = PairRanker(self.network, self.det_thr, cache_mb)

    @property
    def query_guided(self) -> bool:
        """Whether the network looks at query and gallery together."""
        return self.network.query_guided

    def search(
        self,
        query_image: Picture,
        query_box: Sequence[float],
        gallery: Gallery | GalleryIndex | GalleryStore,
        *,
        top: int | None = 10,
        every: int = 1,
        batch_size: int = 8,
        rerank: int | None = None,
        skip_broken: SkipBroken = False,
        progress: Progress | None = None,
        where: Where | None = None,
        origins: Origins | None = None,
    ) -> list[Match]:
        """Rank everybody in a gallery by similarity to one person.

        Args:
            query_image: Path or (H, W, 3) uint8, blue green red.
            query_box: x1, y1, x2, y2 in original pixels; the part inside the
                image counts.
            gallery: An image file, a video file, a folder (the images and
                videos in it and below it, sorted by path), pixels, a list of
                these, a ``GalleryIndex`` or a ``GalleryStore``.
            top: How many matches; all for None.
            every: Each so many frames of a video; the first frame is one.
            batch_size: Pictures at a time; those of a batch have one size.
            rerank: For a query-guided network: rank all pictures by plain
                embeddings first and run pairs on the best so many alone.
                Matches in the others are left out.
            skip_broken: Leave out images and videos of the gallery that
                cannot be read, with a warning in the log that names them. A
                function is called with the error of each instead. The
                positions of matches count what was read.
            progress: Shows how far the search is, see ``Progress``.
            where: People that are looked at, by camera, time, score and
                path; everybody for None.
            origins: Says of files which camera took them and when; with
                ``where``, ``Origins()`` for None.

        Returns:
            In falling similarity, equals in the order of the gallery; empty,
            with a warning in the log, if nobody was found.

        Raises:
            DatasetError: A file is no image or video, or its pictures are
                too large or too small to be looked at.
            FileNotFoundError: A file is missing.
            TypeError: Pixels are not uint8.
            ValueError: A box outside the image, pixels of another shape, an
                empty folder, the index of another network, a number out of
                range.
        """
        self._check(top=top, every=every, batch_size=batch_size, rerank=rerank)
        if rerank is not None and self._ranker is None:
            raise ValueError(
                'rerank runs pairs, and this network is not query-guided; '
                'leave it out'
            )
        query = self.network.prepare(as_scene(query_image), query_box)
        how = dict(every=every, skip_broken=skip_broken, progress=progress)
        kept = isinstance(gallery, GalleryIndex | GalleryStore)
        if self._ranker is None or rerank is not None:
            index = gallery
            if not kept:
                if where is not None and origins is None:
                    origins = Origins()
                index = self.index(
                    gallery, batch_size=batch_size, origins=origins, **how
                )
            matches = self._by_embedding(
                query, index, rerank, top, batch_size, where
            )
            return self._warned(matches, _size(index))
        if kept:
            raise ValueError(
                'a gallery index holds embeddings, and the similarity of a '
                'query-guided network depends on the pair: give the pictures, '
                'or rerank=k to run pairs on the best k of the index'
            )
        if where is not None:
            raise ValueError(
                'where chooses people by plain embeddings first, and this '
                'network is query-guided: give rerank=k, too'
            )
        pass_ = _Pass(gallery, **how)
        matches = self._ranker.search(
            *(query, enumerate(pass_)),
            **dict(top=top, batch_size=batch_size, on_broken=pass_.leave_out),
        )
        pass_.end()
        return self._warned(matches, f'{pass_.count} pictures')

    def index(
        self,
        gallery: Gallery,
        *,
        every: int = 1,
        batch_size: int = 8,
        skip_broken: SkipBroken = False,
        progress: Progress | None = None,
        origins: Origins | None = None,
    ) -> GalleryIndex:
        """Detect and embed everybody in a gallery, once for many queries.

        Of a query-guided network these are the embeddings of single
        pictures, for ``search(rerank=...)``.

        Args and errors as of ``search``; without ``origins`` the index knows
        neither cameras nor absolute times.
        """
        pass_ = self._pass(gallery, every, batch_size, skip_broken, progress)
        sources, parts = [], []
        for source, boxes in self._embedded(pass_, batch_size):
            sources.append(source if origins is None else origins(source))
            parts.append(boxes)
        pass_.end()
        return GalleryIndex(
            sources,
            joined(parts),
            self.network.fingerprint,
            self.det_thr,
            tuple(pass_.broken),
        )

    def stream(
        self,
        gallery: Gallery,
        *,
        every: int = 1,
        batch_size: int = 8,
        skip_broken: SkipBroken = False,
        progress: Progress | None = None,
    ) -> Iterator[tuple[Source, Boxes]]:
        """Detect and embed everybody, picture after picture.

        For galleries whose people do not fit into memory: see ``index``,
        whose args and errors these are. Pictures come in the order of the
        gallery.

        Yields:
            Where a picture comes from, and its people.
        """
        pass_ = self._pass(gallery, every, batch_size, skip_broken, progress)
        yield from self._embedded(pass_, batch_size)
        pass_.tell()

    def _pass(
        self,
        gallery: Gallery,
        every: int,
        batch_size: int,
        skip_broken: SkipBroken,
        progress: Progress | None,
    ) -> '_Pass':
        self._check(every=every, batch_size=batch_size)
        return _Pass(gallery, every, skip_broken, progress)

    def _embedded(
        self, pass_: '_Pass', batch_size: int
    ) -> Iterator[tuple[Source, Boxes]]:
        for batch in _alike(self._prepared(pass_), batch_size):
            found = self.network.detect([item for _, item in batch])
            for (source, _), people in zip(batch, found, strict=True):
                people = people.above(self.det_thr)
                offsets = np.array([0, len(people.scores)])
                yield source, Boxes(*people, offsets)

    def people(self, picture: Picture) -> Boxes:
        """Detect the people of one picture, from left to right.

        Raises:
            As ``search``.
        """
        found = self.index([picture]).boxes
        order = np.argsort(found.bboxes[:, 0], kind='stable')
        return Boxes(
            found.bboxes[order],
            found.scores[order],
            found.embeddings[order],
            found.offsets,
        )

    def pictures(self, matches: Sequence[Match]) -> list[np.ndarray]:
        """Read the pictures of matches again, (H, W, 3) uint8 each.

        Raises:
            ValueError: A picture was given as pixels; take it from the
                gallery, at ``match.position``.
        """
        found = {
            number: self.network.read(scene)
            for number, scene in again([match.source for match in matches])
        }
        return [found[number] for number in range(len(matches))]

    def _by_embedding(
        self,
        query: dict,
        index: GalleryIndex | GalleryStore,
        rerank: int | None,
        top: int | None,
        batch_size: int,
        where: Where | None,
    ) -> list[Match]:
        index.check_maker(self.network.fingerprint, self.det_thr)
        embedding = self.network.embed(query)
        if rerank is None:
            return index.search(embedding, top, where)
        best = best_pictures(index, embedding, rerank, where)
        positions = list(best)
        matches = self._ranker.search(
            query,
            (
                (positions[number], scene)
                for number, scene in again(list(best.values()))
            ),
            top=None if where else top,
            batch_size=batch_size,
        )
        if where is not None:
            scores = np.array([match.score for match in matches], np.float32)
            kept = where.people(scores)
            matches = [m for m, k in zip(matches, kept, strict=True) if k]
        return matches[:top]

    def _prepared(self, pictures: '_Pass') -> Iterator[tuple[Source, dict]]:
        for scene in pictures:
            try:
                item = self.network.prepare(scene)
            except DatasetError as error:
                pictures.leave_out(error)
            else:
                yield scene.source, item

    def _warned(self, matches: list[Match], where: str) -> list[Match]:
        if not matches:
            log(
                f'nobody was found in {where} (detections with a score of '
                f'{self.det_thr:g} and more)',
                logging.WARNING,
            )
        return matches

    @staticmethod
    def _check(**numbers: int | None) -> None:
        for name, value in numbers.items():
            if value is not None and value < 1:
                raise ValueError(f'{name} must be >= 1, got {value}')


def open_network(
    model: str, weights: str | None, device: str | None
) -> SearchNetwork:
    """Load a network; torch is imported for those that need it alone.

    Args and errors as of ``PersonSearchInferencer``.
    """
    if is_exported(model):
        if weights is not None:
            raise ValueError(
                f'{model} is an exported network and holds its weights: '
                'leave out the others'
            )
        return OnnxNetwork(model, device)
    from .network import Network

    return Network(model, weights, device)


class _Pass:
    """One pass over the pictures of a gallery; counts and skips.

    Args and errors as of ``PersonSearchInferencer.search``.

    Attributes:
        count: Pictures so far, those left out included.
        broken: File -> why it was left out, or the rest of it.
    """

    def __init__(
        self,
        gallery: Gallery,
        every: int,
        skip_broken: SkipBroken,
        progress: Progress | None,
    ) -> None:
        self._items, others = listing(gallery)
        if others:
            log(other_files(others))
        self._every, self._progress = every, progress
        self._skip_broken = skip_broken
        self._left_out = 0
        self.count = 0
        self.broken: dict[str, DatasetError] = {}

    def __iter__(self) -> Iterator[Scene]:
        pictures = scenes(self._items, self._every, self._note)
        if self._progress is not None:
            total = num_scenes(self._items, self._every)
            pictures = self._progress(pictures, total)
        for picture in pictures:
            self.count += 1
            yield picture

    def leave_out(self, error: DatasetError) -> None:
        """Leave the picture out that has this error, or raise it."""
        self._note(error)
        self._left_out += 1

    def end(self) -> None:
        """``tell``, unless everything was left out.

        Raises:
            ValueError: It was.
        """
        if self.broken and self._left_out == self.count:
            raise ValueError(
                f'no picture of the gallery can be read:\n{self._lines}'
            )
        self.tell()

    def tell(self) -> None:
        """Log what was left out, if nobody else was told."""
        if self.broken and self._skip_broken is True:
            log(
                f'{left_out(len(self.broken))}:\n{self._lines}',
                logging.WARNING,
            )

    @property
    def _lines(self) -> str:
        return '\n'.join(map(str, self.broken.values()))

    def _note(self, error: DatasetError) -> None:
        if not self._skip_broken:
            raise error
        if error.file not in self.broken and callable(self._skip_broken):
            self._skip_broken(error)
        self.broken.setdefault(error.file, error)


def _alike(
    items: Iterable[tuple[Source, dict]], size: int
) -> Iterator[list[tuple[Source, dict]]]:
    """Batches of pictures of one input size, in order.

    A smaller picture would be padded, and what is beside a picture changes
    its features.
    """
    batch = []
    for item in items:
        shape = item[1]['inputs'].shape
        if batch and (
            len(batch) == size or batch[0][1]['inputs'].shape != shape
        ):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _size(gallery: GalleryIndex | GalleryStore) -> str:
    if isinstance(gallery, GalleryIndex):
        return f'{len(gallery.sources)} pictures'
    return f'an archive of {len(gallery)} people'
