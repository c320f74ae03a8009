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
    cameras      (I,) str; '' for unknown. Older files lack it
    times        (I,) float64, seconds since 1970; NaN for unknown. Older
                 files lack it
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
from .where import Where

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
        check_network('the gallery index', self.network, network)
        if self.det_thr != det_thr:
            raise ValueError(
                'the gallery index holds detections with a score of '
                f'{self.det_thr:g} and more, asked for are {det_thr:g}; '
                'build it again'
            )

    def search(
        self,
        embedding: np.ndarray,
        top: int | None = 10,
        where: Where | None = None,
    ) -> list[Match]:
        """Rank the detections, see ``ranked``."""
        rows, similarity = self.ranked(embedding, top, where)
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
        self,
        embedding: np.ndarray,
        top: int | None = None,
        where: Where | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The most similar detections, equals in the order of the gallery.

        As if all M exact similarities (``search.on_grid``) were sorted: a
        product in float32 leaves out what cannot be among the first, the
        rest is computed exactly. Neither the number of threads nor the rows
        around a row change a similarity.

        Args:
            embedding: (D,) of unit length.
            top: How many; all for None.
            where: Those that are looked at; all for None.

        Returns:
            Rows (k,) int64 and cosines (k,) float64, falling.

        Raises:
            ValueError: A query of another length, ``top`` below 1, or no
                picture has what ``where`` asks for.
        """
        embeddings = self.boxes.embeddings
        query = checked_query(embedding, embeddings.shape[1])
        check_top(top)
        rows = np.arange(len(self))
        if where is not None:
            rows = np.flatnonzero(self._kept(where))
        if top is not None and top < len(rows):
            if len(rows) > len(self) // 2:  # dearer to copy than to compute
                rough = (embeddings @ query)[rows]
            else:
                rough = embeddings[rows] @ query
            rows = rows[may_be_first(rough, top, len(query))]
        exact = np.concatenate(
            [np.zeros(0)]
            + [
                exact_similarity(
                    embeddings[rows[start : start + BLOCK]], query
                )
                for start in range(0, len(rows), BLOCK)
            ]
        )
        order = np.argsort(-exact, kind='stable')[:top]
        return rows[order], exact[order]

    def _kept(self, where: Where) -> np.ndarray:
        """(M,) bool."""
        pictures = where.pictures(self.sources)
        return pictures[self.boxes.image] & where.people(self.boxes.scores)

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
            'cameras': np.array([s.camera or '' for s in sources], np.str_),
            # None becomes NaN
            'times': np.array([s.time for s in sources], np.float64),
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
        num = len(file['images'])
        cameras, times = np.full(num, ''), np.full(num, math.nan)
        if 'cameras' in file:
            cameras, times = file['cameras'], file['times']
        sources = [
            Source(
                str(image) or None,
                None if frame < 0 else int(frame),
                None if math.isnan(seconds) else float(seconds),
                str(camera) or None,
                None if math.isnan(time) else float(time),
            )
            for image, frame, seconds, camera, time in zip(
                file['images'],
                file['frames'],
                file['timestamps'],
                cameras,
                times,
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


def check_network(what: str, made_by: str, network: str) -> None:
    """Refuse embeddings of another network, by its name.

    Args:
        what: Holds the embeddings.
        made_by: Fingerprint of the network that made them.
        network: Fingerprint of the one that searches.

    Raises:
        ValueError: They differ.
    """
    if made_by != network:
        raise ValueError(
            f'{what} was made by network {made_by}, this is {network} '
            '(weights, config and test pipeline count): their embeddings '
            'cannot be compared; build it again'
        )


def check_top(top: int | None) -> None:
    """Raise ValueError for a number of matches below 1."""
    if top is not None and top < 1:
        raise ValueError(f'top must be >= 1 or None, got {top}')


def checked_query(embedding: np.ndarray, dims: int) -> np.ndarray:
    """(D,) float32, or ValueError for another shape or length."""
    query = np.asarray(embedding, np.float32)
    if query.shape != (dims,):
        raise ValueError(
            f'the query has an embedding of shape {query.shape}, the '
            f'gallery needs ({dims},)'
        )
    length = float(np.linalg.norm(query))
    if not abs(length - 1) <= LENGTH_TOLERANCE:  # NaN is wrong too
        raise ValueError(
            f'the embedding of the query has length {length:.4g}, '
            f'expected 1 within {LENGTH_TOLERANCE}'
        )
    return query


def exact_similarity(embeddings: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(k,) float64, the cosines that decide the order of matches.

    Args:
        embeddings: (k, D) float32.
        query: (D,) float32.
    """
    return on_grid(embeddings) @ on_grid(query)


def may_be_first(rough: np.ndarray, top: int, dims: int) -> np.ndarray:
    """Rows that may be among the first, by dot products in float32.

    Args:
        rough: (k,) float32, products of embeddings with one query.
        top: How many are first.
        dims: D.

    Returns:
        (j,) int64, rising; all k if ``top`` is not less.
    """
    if len(rough) <= top:
        return np.arange(len(rough))
    last = np.partition(rough, len(rough) - top)[len(rough) - top]
    return np.flatnonzero(rough >= last - 2 * rounding_error(dims))


def rounding_error(dims: int) -> float:
    """How far a float32 dot product may lie from ``exact_similarity``.

    D roundings of 2**-24 each, whatever the order of summation, and 2**-27 a
    coordinate onto the grid, for vectors of length 1 (and 1 % of slack, more
    than ``LENGTH_TOLERANCE`` takes).
    """
    return 1.01 * (dims * 2.0**-24 + 2 * math.sqrt(dims) * 2.0**-27)
