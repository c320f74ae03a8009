"""Search with a query-guided network: pair after pair, nothing twice."""

import hashlib
from collections.abc import Hashable, Iterable
from pathlib import Path

import numpy as np

from mmps.evaluation.pair_findings import collect
from mmps.evaluation.run_pairs import (
    batched,
    begin_gallery,
    begin_query,
    preprocessed,
    run_pairs,
)

from .matches import Match, Source
from .network import Network
from .scenes import Scene


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
        self._numbers: dict[Hashable, int] = {}

    def search(
        self,
        query: dict,
        gallery: Iterable[tuple[int, Scene]],
        *,
        top: int | None,
        batch_size: int,
    ) -> list[Match]:
        """Rank what one query finds.

        Args:
            query: From ``Network.prepare``, with a box.
            gallery: Positions and pictures, read one batch at a time.
            top: How many matches; all for None.
            batch_size: Pairs at a time.

        Returns:
            In falling similarity, equals in the order of the gallery.
        """
        inputs, sample = preprocessed(self.network.model, query)
        box = sample.query_instances.bboxes[0]
        begun = begin_query(self.searcher, inputs, sample, box)
        sources: dict[int, Source] = {}
        found = {}
        for batch in batched(gallery, batch_size):
            scenes = {self._number(scene): scene for _, scene in batch}
            results = run_pairs(
                self.searcher,
                {0: np.array(list(scenes))},
                lambda _: begun,
                lambda number, scenes=scenes: self._begin(scenes[number]),
                batch_size,
            )[0]
            for position, scene in batch:
                found[position] = results[self._number(scene)]
                sources[position] = scene.source
        return _ranked(sources, found, top)

    def _begin(self, scene: Scene):
        item = self.network.prepare(scene)
        return begin_gallery(
            self.searcher, *preprocessed(self.network.model, item)
        )

    def _number(self, scene: Scene) -> int:
        """Key of a picture in the searcher's cache."""
        path, frame, _ = scene.source
        if path is None:
            pixels = np.ascontiguousarray(scene.pixels)
            key = (pixels.shape, hashlib.sha256(pixels).digest())
        else:
            stat = Path(path).stat()
            key = (path, frame, stat.st_size, stat.st_mtime_ns)
        return self._numbers.setdefault(key, len(self._numbers))


def _ranked(
    sources: dict[int, Source], found: dict[int, object], top: int | None
) -> list[Match]:
    findings = collect(np.array(sorted(found), np.int64), found)
    positions = np.repeat(findings.images, findings.counts).tolist()
    order = np.argsort(-findings.similarity, kind='stable')[:top]
    return [
        Match(
            *(sources[positions[row]].image, positions[row]),
            tuple(findings.bboxes[row].tolist()),
            float(findings.similarity[row]),
            float(findings.scores[row]),
            *sources[positions[row]][1:],
        )
        for row in order.tolist()
    ]
