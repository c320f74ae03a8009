"""Search with a query-guided network: pair after pair, nothing twice."""

import hashlib
from collections.abc import Callable, Hashable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from mmps.datasets.errors import DatasetError
from mmps.evaluation.pair_findings import collect

from .matches import Match, Source
from .network import Network
from .scenes import Scene, raise_it


class PairRanker:
    """Runs queries on galleries and keeps what the next query can use.

    A picture is known again by its file (path, size, time of change) and
    frame, or by its pixels.

    Args:
        network: A query-guided one.
        det_thr: Detections below this score are dropped.
        cache_mb: Bound of what is kept of gallery pictures, in MB.
    """

    def __init__(
        self, network: Network, det_thr: float, cache_mb: float
    ) -> None:
        self.network = network
        self.searcher = network.model.pair_searcher(det_thr, cache_mb)

    def search(
        self,
        query: dict,
        gallery: Iterable[tuple[int, Scene]],
        *,
        top: int | None,
        batch_size: int,
        on_broken: Callable[[DatasetError], object] = raise_it,
    ) -> list[Match]:
        """Rank what one query finds.

        Args:
            query: From ``Network.prepare``, with a box.
            gallery: Positions and pictures, read one batch at a time.
            top: How many matches; all for None.
            batch_size: Pairs at a time.
            on_broken: Called with the error of a picture that cannot be read,
                which is then left out; those behind it move up.

        Returns:
            In falling similarity, equals in the order of the gallery.
        """
        box = query['data_samples'].query_instances.bboxes[0]
        begun = self.searcher.begin_query(query, box)
        sources: dict[int, Source] = {}
        found = {}
        num_broken = 0
        gallery = iter(gallery)
        while batch := list(islice(gallery, batch_size)):
            results = self._search(
                begun, [scene for _, scene in batch], on_broken
            )
            for (position, scene), result in zip(batch, results, strict=True):
                if result is None:
                    num_broken += 1
                    continue
                found[position - num_broken] = result
                sources[position - num_broken] = scene.source
        return _ranked(sources, found, top)

    def _search(self, query, scenes: list[Scene], on_broken: Callable) -> list:
        """Results of one query in a batch of pictures; None if broken."""
        states = {}
        keys = [key_of(scene) for scene in scenes]
        cache = self.searcher.cache
        for key, scene in zip(keys, scenes, strict=True):
            if key in states:
                continue
            state = cache.get(key)
            if state is None:
                try:
                    item = self.network.prepare(scene)
                except DatasetError as error:
                    on_broken(error)
                    continue
                state = self.searcher.begin_gallery(item)
                cache.put(key, state)
            states[key] = state
        found = self.searcher.search(
            [(query, state) for state in states.values()]
        )
        cache.shrink()
        results = dict(zip(states, found, strict=True))
        return [results.get(key) for key in keys]


def key_of(scene: Scene) -> Hashable:
    """What a picture is known again by."""
    path, frame, *_ = scene.source
    if path is None:
        pixels = np.ascontiguousarray(scene.pixels)
        return pixels.shape, hashlib.sha256(pixels).digest()
    stat = Path(path).stat()
    return path, frame, stat.st_size, stat.st_mtime_ns


def _ranked(
    sources: dict[int, Source], found: dict[int, object], top: int | None
) -> list[Match]:
    if not found:
        return []
    order = sorted(found)
    findings = collect(
        np.zeros(len(order)), order, [found[position] for position in order]
    )
    positions = np.repeat(findings.images, findings.counts).tolist()
    order = np.argsort(-findings.similarity, kind='stable')[:top]
    return [
        Match(
            sources[positions[row]],
            positions[row],
            tuple(findings.bboxes[row].tolist()),
            float(findings.similarity[row]),
            float(findings.scores[row]),
        )
        for row in order.tolist()
    ]
