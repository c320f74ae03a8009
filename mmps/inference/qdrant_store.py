"""People on a Qdrant server, for archives that one machine cannot hold.

Symbols used in this file:
    D   size of an embedding

A collection holds a point for each person: the embedding, and as payload
where the picture comes from. Its metadata name the network. The number of a
point is made of file, frame and place in the picture, so a picture that is
added a second time replaces itself.

Tested against the local mode of the client, which searches exhaustively and
deletes at once; not against a server. A server deletes at once for searches,
and from its disk when it next rewrites the segment.
"""

import time
import uuid
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmps.errors import InputError
from mmps.evaluation.features import Boxes

from .gallery_index import GalleryIndex, check_network
from .gallery_store import Candidates, GalleryStore
from .matches import Source
from .where import Where

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

#: Points of a request.
_POINTS = 256
#: Of the numbers of points.
_NAMES = uuid.UUID('5c1a3f0e-6d0b-4c8e-9d3f-0a54f1b6c7d2')
#: Fields by which people are chosen; a server keeps an index of each.
_CHOSEN = {'camera': 'keyword', 'time': 'float', 'score': 'float'}


class QdrantStore(GalleryStore):
    """People in a collection of a Qdrant server.

    Args:
        url: http://HOST:6333; ':memory:' for the client's local mode; or a
            ``qdrant_client.QdrantClient``.
        collection: Name of a collection that ``create`` has made.
        exact: Have the server look at everybody. Otherwise it uses its index,
            and may miss some.

    Raises:
        FileNotFoundError: There is no such collection.
        InputError: The client is not installed.
        ValueError: mmps did not make the collection.
    """

    def __init__(
        self,
        url: 'str | QdrantClient',
        collection: str = 'people',
        *,
        exact: bool = True,
    ) -> None:
        self.client = _client(url)
        self.collection, self.exact = collection, exact
        if not self.client.collection_exists(collection):
            raise FileNotFoundError(
                f'{url}: has no collection {collection!r}; '
                'QdrantStore.create makes one'
            )
        config = self.client.get_collection(collection).config
        try:
            self.network = config.metadata['network']
            self.det_thr = float(config.metadata['det_thr'])
            self.dims = config.params.vectors.size
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f'collection {collection!r} was not made by '
                'QdrantStore.create; give another name'
            ) from error

    @classmethod
    def create(
        cls,
        url: 'str | QdrantClient',
        network: str,
        det_thr: float,
        dims: int,
        collection: str = 'people',
    ) -> 'QdrantStore':
        """Make a collection, or open the one that is there.

        Args:
            url: As of the class.
            network: Fingerprint of the network.
            det_thr: Detections below this score will not be added.
            dims: D.
            collection: Its name.

        Raises:
            ValueError: The collection there is of another network, threshold
                or size.
        """
        client = _client(url)
        if not client.collection_exists(collection):
            models = _models()
            client.create_collection(
                collection,
                vectors_config=models.VectorParams(
                    # the product, not the cosine: that would rescale what
                    # is kept
                    size=dims,
                    distance=models.Distance.DOT,
                    on_disk=True,
                ),
                metadata=dict(network=network, det_thr=det_thr),
            )
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', UserWarning)  # local mode
                for name, kind in _CHOSEN.items():
                    client.create_payload_index(collection, name, kind)
        store = cls(client, collection)
        check_network(f'collection {collection!r}', store.network, network)
        if (store.det_thr, store.dims) != (det_thr, dims):
            raise ValueError(
                f'collection {collection!r} holds detections with a score of '
                f'{store.det_thr:g} and more and embeddings of {store.dims} '
                f'numbers, these have {det_thr:g} and {dims}'
            )
        return store

    def __len__(self) -> int:
        """People."""
        return self.client.count(self.collection, exact=True).count

    def add(self, sources: Sequence[Source], boxes: Boxes) -> None:
        """See ``GalleryStore``; a picture that is there is replaced.

        In several requests: one that fails is to be repeated with the same
        pictures. A kill in between may leave a part of them, which adding
        them again completes.

        Raises:
            ValueError: Boxes that hold nonsense, or of another size.
        """
        # to make an index is to check it
        GalleryIndex(sources, boxes, self.network, self.det_thr)
        if boxes.embeddings.shape[1] != self.dims:
            raise ValueError(
                f'collection {self.collection!r} has embeddings of '
                f'{self.dims} numbers, these have {boxes.embeddings.shape[1]}'
            )
        # later pictures have higher numbers, whichever machine adds them
        first = time.time_ns()
        points = [
            self._point(sources[image], image + first, number, row, boxes)
            for row, (image, number) in enumerate(
                zip(
                    boxes.image.tolist(),
                    boxes.numbers.tolist(),
                    strict=True,
                )
            )
        ]
        for start in range(0, len(points), _POINTS):
            self.client.upsert(
                self.collection, points[start : start + _POINTS], wait=True
            )

    def _point(
        self,
        source: Source,
        position: int,
        number: int,
        row: int,
        boxes: Boxes,
    ):
        name = f'{source.image}\n{source.frame}\n{number}'
        if source.image is None:
            name = f'{position}\n{number}'
        return _models().PointStruct(
            id=str(uuid.uuid5(_NAMES, name)),
            vector=boxes.embeddings[row].tolist(),
            payload=dict(
                source._asdict(),
                position=position,
                number=number,
                bbox=boxes.bboxes[row].tolist(),
                score=float(np.float32(boxes.scores[row])),
            ),
        )

    def candidates(
        self, query: np.ndarray, num: int, where: Where | None = None
    ) -> Candidates:
        """See ``GalleryStore``."""
        models = _models()
        with warnings.catch_warnings():
            # the local mode is always exact, and says so
            warnings.simplefilter('ignore', UserWarning)
            points = self.client.query_points(
                self.collection,
                query=query.tolist(),
                limit=num,
                query_filter=_filter(where),
                search_params=models.SearchParams(exact=self.exact),
                with_payload=True,
                with_vectors=True,
            ).points
        payloads = [point.payload for point in points]

        def column(name: str, kind: type, width: tuple = ()) -> np.ndarray:
            values = [payload[name] for payload in payloads]
            return np.array(values, kind).reshape(-1, *width)

        vectors = np.array([point.vector for point in points], np.float32)
        return Candidates(
            [
                Source(*(payload[name] for name in Source._fields))
                for payload in payloads
            ],
            column('position', np.int64),
            column('number', np.int64),
            column('bbox', np.float32, (4,)),
            column('score', np.float32),
            vectors.reshape(-1, self.dims),
            np.array([point.score for point in points], np.float64),
        )

    def delete(self, where: Where) -> int:
        """See ``GalleryStore``; from a server's disk: see above.

        Raises:
            ValueError: No condition.
        """
        condition = _filter(where)
        if condition is None:
            raise ValueError(
                'people are deleted by camera, time or score; give one of '
                'these'
            )
        num = self.client.count(self.collection, condition, exact=True).count
        self.client.delete(
            self.collection,
            _models().FilterSelector(filter=condition),
            wait=True,
        )
        return num


def _filter(where: Where | None):
    """Conditions as Qdrant reads them; None for none.

    Raises:
        ValueError: A beginning of paths, which Qdrant cannot look for.
    """
    models = _models()
    if where is None:
        return None
    if where.images is not None:
        raise ValueError(
            'a Qdrant server finds no beginnings of paths: choose by camera '
            'and time'
        )
    must = []
    if where.cameras is not None:
        names = models.MatchAny(any=list(where.cameras))
        must.append(models.FieldCondition(key='camera', match=names))
    if where.after is not None or where.before is not None:
        between = models.Range(gte=where.after, lt=where.before)
        must.append(models.FieldCondition(key='time', range=between))
    if where.min_score is not None:
        scores = models.Range(gte=where.least_score)
        must.append(models.FieldCondition(key='score', range=scores))
    return models.Filter(must=must) if must else None


def _client(url: 'str | QdrantClient'):
    if not isinstance(url, str):
        return url
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise InputError(
            "Qdrant's client",
            'is not installed',
            "pip install 'mmps[qdrant]'",
        ) from error
    return QdrantClient(url)


def _models():
    from qdrant_client import models

    return models
