"""Everybody in a gallery, embedded once and searched exactly. NumPy alone.

Symbols used in this file:
    I   pictures of the gallery
    M   detections of all pictures together
    D   size of an embedding

An index holds embeddings and boxes of people, which are personal data of
those whom the pictures show: it is written only where it is told to, and
whoever deletes the pictures deletes the index too.

    meta         JSON: format, version, network, det_thr, and broken, the
                 files that could not be read, if there are any
    images       (I,) str, path; '' for pixels in memory
    frames       (I,) int64, of a video; -1 for an image
    timestamps   (I,) float64, seconds; NaN for an image
    bboxes, scores, embeddings, offsets    see ``Boxes``
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np

from mmps.evaluation.features import LENGTH_TOLERANCE, Boxes
from mmps.evaluation.npz import Kind, meta_entry, read_npz, write_npz
from mmps.evaluation.search import on_grid

from .matches import Match, Source

INDEX = Kind('mmps gallery index', 1, 'gallery index', 'GalleryIndex.save')
#: Rows whose exact similarity is computed at a time; bounds memory.
BLOCK = 8192


@dataclass(frozen=True, eq=False)
class GalleryIndex:
    """The people of a gallery; to make one is to check it.

    Attributes:
        sources: I, where each picture comes from.
        boxes: Detections in original pixels, embeddings float32.
        network: Fingerprint of the network that made it.
        det_thr: Detections below this score are not in it.
        broken: Paths of files that could not be read and are not in it.
    """

    sources: Sequence[Source]
    boxes: Boxes
    network: str
    det_thr: float
    broken: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        embeddings = self.boxes.embeddings
        if embeddings is None or embeddings.dtype != np.float32:
            kind = None if embeddings is None else embeddings.dtype
            raise ValueError(f'embeddings must be float32, got {kind}')
        self.boxes.check(
            'gallery index',
            [f'{i}: {source.image}' for i, source in enumerate(self.sources)],
        )

    def __len__(self) -> int:
        """M."""
        return len(self.boxes)

    def check_maker(self, network: str, det_thr: float) -> None:
        """Refuse to be searched for what another network has embedded.

        Raises:
            ValueError: Another network, pipeline or threshold made it.
        """
        if self.network != network:
            raise ValueError(
                f'the gallery index was made by network {self.network}, this '
                f'is {network} (weights, config and test pipeline count): '
                'their embeddings cannot be compared; build the index again'
            )
        if self.det_thr != det_thr:
            raise ValueError(
                'the gallery index holds detections with a score of '
                f'{self.det_thr:g} and more, asked for are {det_thr:g}; '
                'build it again'
            )

    def search(
        self, embedding: np.ndarray, top: int | None = 10
    ) -> list[Match]:
        """Rank the detections, see ``ranked``."""
        rows, similarity = self.ranked(embedding, top)
        boxes = self.boxes
        return [
            Match(
                self.sources[image],
                image,
                tuple(boxes.bboxes[row].tolist()),
                float(value),
                float(boxes.scores[row]),
            )
            for row, image, value in zip(
                rows, boxes.image[rows].tolist(), similarity, strict=True
            )
        ]

    def ranked(
        self, embedding: np.ndarray, top: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The most similar detections, equals in the order of the gallery.

        As if all M exact similarities (``search.on_grid``) were sorted: a
        product in float32 leaves out what cannot be among the first, the
        rest is computed exactly. Neither the number of threads nor the rows
        around a row change a similarity.

        Args:
            embedding: (D,) of unit length.
            top: How many; all for None.

        Returns:
            Rows (k,) int64 and cosines (k,) float64, falling.
        """
        query = self._checked(embedding)
        if top is not None and top < 1:
            raise ValueError(f'top must be >= 1 or None, got {top}')
        rows = np.arange(len(self))
        if top is not None and top < len(self):
            rough = self.boxes.embeddings @ query
            last = np.partition(rough, len(rough) - top)[len(rough) - top]
            rows = np.flatnonzero(rough >= last - 2 * _error(len(query)))
        exact = self._exact(rows, query)
        order = np.argsort(-exact, kind='stable')[:top]
        return rows[order], exact[order]

    def _exact(self, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
        target = on_grid(query)
        parts = [
            on_grid(self.boxes.embeddings[rows[start : start + BLOCK]])
            @ target
            for start in range(0, len(rows), BLOCK)
        ]
        return np.concatenate([np.zeros(0), *parts])

    def _checked(self, embedding: np.ndarray) -> np.ndarray:
        dims = self.boxes.embeddings.shape[1]
        query = np.asarray(embedding, np.float32)
        if query.shape != (dims,):
            raise ValueError(
                f'the query has an embedding of shape {query.shape}, the '
                f'gallery index needs ({dims},)'
            )
        length = float(np.linalg.norm(query))
        if not abs(length - 1) <= LENGTH_TOLERANCE:  # NaN is wrong too
            raise ValueError(
                f'the embedding of the query has length {length:.4g}, '
                f'expected 1 within {LENGTH_TOLERANCE}'
            )
        return query

    def save(self, path: str | PathLike) -> None:
        """Write the index; the file appears whole or not at all.

        It holds personal data, see the top of this file.
        """
        sources = self.sources
        frames = [-1 if s.frame is None else s.frame for s in sources]
        seconds = [
            math.nan if s.timestamp is None else s.timestamp for s in sources
        ]
        notes = {'network': self.network, 'det_thr': self.det_thr}
        if self.broken:
            notes['broken'] = list(self.broken)
        arrays = {
            'meta': meta_entry(INDEX, notes),
            'images': np.array([s.image or '' for s in sources], np.str_),
            'frames': np.array(frames, np.int64),
            'timestamps': np.array(seconds, np.float64),
            'bboxes': self.boxes.bboxes,
            'scores': self.boxes.scores,
            'embeddings': self.boxes.embeddings,
            'offsets': self.boxes.offsets,
        }
        write_npz(path, arrays)

    @classmethod
    def load(cls, path: str | PathLike) -> 'GalleryIndex':
        """Read an index back, exactly as it was saved.

        Raises:
            FileNotFoundError: No such file.
            ValueError: No gallery index, of another version, or damaged.
        """
        return read_npz(path, INDEX, cls._parse)

    @classmethod
    def _parse(cls, file, meta: dict) -> 'GalleryIndex':
        sources = [
            Source(
                str(image) or None,
                None if frame < 0 else int(frame),
                None if math.isnan(seconds) else float(seconds),
            )
            for image, frame, seconds in zip(
                file['images'],
                file['frames'],
                file['timestamps'],
                strict=True,
            )
        ]
        parts = ('bboxes', 'scores', 'embeddings', 'offsets')
        boxes = Boxes(*(file[name] for name in parts))
        return cls(
            sources,
            boxes,
            str(meta['network']),
            float(meta['det_thr']),
            tuple(map(str, meta.get('broken', ()))),
        )


def _error(dims: int) -> float:
    """How far a float32 dot product may lie from ``search.on_grid``'s.

    D roundings of 2**-24 each, whatever the order of summation, and 2**-27 a
    coordinate onto the grid, for vectors of length 1 (and 1 % of slack, more
    than ``LENGTH_TOLERANCE`` takes).
    """
    return 1.01 * (dims * 2.0**-24 + 2 * math.sqrt(dims) * 2.0**-27)
