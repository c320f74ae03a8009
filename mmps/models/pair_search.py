"""Test a query-guided network pair by pair, and compute nothing twice.

Symbols used in this file:
    C, h, w     a C4 map
    n           anchors of an image
    m           anchors of an image whose RoI the head has seen
    M           detections of a pair
    D           size of an embedding

Without gates in the backbone neither C4 map depends on the other image. And
since proposals are the RPN's own boxes, only in another order for each query,
what the RoI head says of an anchor's box is the same for all queries: it is
computed once for every (image, anchor) and kept. Both are exact.

With gates only the stem and the first branch are shared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Protocol

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi, scale_boxes
from torch import Tensor, nn

from .anchor_choice import select_anchors
from .bounded_cache import BoundedCache
from .pair_states import GalleryState, PairResult, QueryState, shapes_of
from .qsse_resnet import Stream
from .query_shelf import QueryShelf

#: RoIs per call of conv5; bounds memory.
CHUNK = 128


class Pictures(Protocol):
    """Where a test's pictures come from, packed as its pipeline does."""

    def images(self, numbers: Sequence[int]) -> Iterator[dict]:
        """Gallery images: ``inputs`` and ``data_samples`` of each."""
        ...

    def queries(self, numbers: Sequence[int]) -> Iterator[tuple[dict, Tensor]]:
        """Images of queries, and their boxes (4,) in original pixels."""
        ...


class PairSearcher:
    """Runs pairs of a query and a gallery image.

    Args:
        model: A ``QEEPS`` in eval mode.
        score_thr: Detections below this score are dropped.
        cache_mb: Bound of ``cache``, which keeps states of gallery images
            between searches, and of ``shelf``, which keeps the queries that
            ``run`` is given.
    """

    def __init__(
        self, model: nn.Module, score_thr: float = 0.5, cache_mb: float = 1024
    ) -> None:
        if model.roi_head.test_cfg.get('reid_on') == 'refined':
            raise ValueError(
                'pairs are compared on proposals; set test_cfg.rcnn.reid_on='
                "'proposal'"
            )
        self.model = model
        self.score_thr = score_thr
        self.cache = BoundedCache(cache_mb)
        self.shelf = QueryShelf(self.begin_query, cache_mb)
        #: The most that ``run`` has kept of images at a time, in bytes.
        self.peak = 0
        #: How many RoIs have been through conv5.
        self.num_rois = 0

    @property
    def gated(self) -> bool:
        """Whether the maps of a pair depend on each other."""
        return self.model.backbone.gated

    def run(
        self,
        queries: Sequence[int],
        images: Sequence[int],
        pictures: Pictures,
        batch_size: int,
        done: Callable[[int], object] = int,
    ) -> list[PairResult]:
        """Run pairs, each gallery image read and prepared once.

        Args:
            queries: (n,) query of each pair.
            images: (n,) its gallery image; equal ones follow each other.
            pictures: Reads both.
            batch_size: Pairs at a time. Which pairs are in a batch depends on
                the arguments alone.
            done: Told after each batch how many pairs it had.

        Returns:
            (n,) results. What was computed of a gallery image for one call
            is not used in another, so that they do not depend on what was
            run before.
        """
        pairs = list(zip(map(int, queries), map(int, images), strict=True))
        self.shelf.fill(sorted({query for query, _ in pairs}), pictures)
        numbers = [image for image, _ in groupby(image for _, image in pairs)]
        items = pictures.images(numbers)
        results, galleries = [], {}
        for start in range(0, len(pairs), batch_size):
            batch = pairs[start : start + batch_size]
            for _, image in batch:
                if image not in galleries:
                    galleries[image] = self.begin_gallery(next(items))
            states = [self.shelf.state(query, pictures) for query, _ in batch]
            results += self.search(
                [
                    (state, galleries[image])
                    for state, (_, image) in zip(states, batch, strict=True)
                ]
            )
            kept = sum(gallery.nbytes for gallery in galleries.values())
            self.peak = max(self.peak, self.shelf.nbytes + kept)
            last = batch[-1][1]
            galleries = {last: galleries[last]}
            done(len(batch))
        return results

    def begin_query(self, item: dict, box: Tensor) -> QueryState:
        """Prepare a query.

        Args:
            item: ``inputs`` and ``data_samples`` of its image, as packed.
            box: (4,) in original pixels, inside the image.
        """
        inputs, sample = self._preprocessed(item)
        box = box.float()
        factor = box.new_tensor(sample.metainfo['scale_factor']).repeat(2)
        return self.query(inputs, sample.metainfo, box * factor)

    def begin_gallery(self, item: dict) -> GalleryState:
        """Prepare a gallery image; ``item`` as of ``begin_query``."""
        inputs, sample = self._preprocessed(item)
        return self.gallery(inputs, sample.metainfo)

    def _preprocessed(self, item: dict) -> tuple[Tensor, DetDataSample]:
        """(1, 3, H, W) input of the network and its sample."""
        data = self.model.data_preprocessor(
            dict(inputs=[item['inputs']], data_samples=[item['data_samples']]),
            False,
        )
        return data['inputs'], data['data_samples'][0]

    @torch.no_grad()
    def query(self, image: Tensor, meta: dict, box: Tensor) -> QueryState:
        """Prepare a query.

        Args:
            image: (1, 3, H, W), normalised and padded.
            meta: ``img_shape``.
            box: (4,) in input pixels.
        """
        box = box.to(image).view(1, 4)
        sizes = [meta['img_shape'][:2]]
        if self.gated:
            stream = self.model.backbone.begin(image, sizes, box)
            return QueryState(box, stream)
        feats = self.model.backbone.plain_features(image, sizes)
        region = self.model.roi_head.bbox_roi_extractor(
            (feats,), bbox2roi([box])
        )
        guide = region.mean(dim=(2, 3))
        return QueryState(box, None, guide, self._embed(self._conv5(region)))

    @torch.no_grad()
    def gallery(self, image: Tensor, meta: dict) -> GalleryState:
        """Prepare a gallery image; arguments as of ``query``."""
        sizes = [meta['img_shape'][:2]]
        if self.gated:
            return GalleryState(meta, self.model.backbone.begin(image, sizes))
        feats = self.model.backbone.plain_features(image, sizes)
        scores, boxes = self.model.rpn_head.anchors_of((feats,), [meta])
        row = torch.full_like(scores[0], -1, dtype=torch.long)
        return GalleryState(meta, None, feats, scores[0], boxes[0], row)

    @torch.no_grad()
    def search(
        self, pairs: Sequence[tuple[QueryState, GalleryState]]
    ) -> list[PairResult]:
        """Run a batch of pairs; results in the order of the pairs."""
        alike = defaultdict(list)
        for number, (query, gallery) in enumerate(pairs):
            alike[shapes_of(query, gallery)].append(number)
        results = [None] * len(pairs)
        run = self._run_gated if self.gated else self._run_cached
        for numbers in alike.values():
            found = run([pairs[number] for number in numbers])
            for number, result in zip(numbers, found, strict=True):
                results[number] = result
        return results

    @torch.no_grad()
    def proposals(
        self, query: QueryState, gallery: GalleryState
    ) -> tuple[Tensor, Tensor]:
        """Where the RPN looks for people, and where for this query's person.

        Returns:
            Boxes (n, 4) in original pixels, best first: in the order of the
            RPN alone, and of RPN and QRPN merged.
        """
        if self.gated:
            feats, regions, scores, boxes = self._gated_maps(
                [query], [gallery]
            )
            guide = regions.mean(dim=(2, 3))
        else:
            feats, guide = gallery.feats, query.guide
            scores, boxes = gallery.scores[None], gallery.boxes[None]
        plain = select_anchors(
            scores[0], boxes[0], self.model.rpn_head.test_cfg
        )
        (guided,) = self._proposals(feats, guide, scores, boxes)
        factor = [1 / s for s in gallery.meta['scale_factor']]
        return tuple(
            scale_boxes(boxes[0][kept], factor) for kept in (plain, guided)
        )

    def _run_cached(
        self, pairs: list[tuple[QueryState, GalleryState]]
    ) -> list[PairResult]:
        queries, galleries = zip(*pairs, strict=True)
        kept = self._proposals(
            torch.cat([gallery.feats for gallery in galleries]),
            torch.cat([query.guide for query in queries]),
            [gallery.scores for gallery in galleries],
            [gallery.boxes for gallery in galleries],
        )
        self._add_roi_outputs(galleries, kept)
        results = []
        for query, gallery, anchors in zip(
            queries, galleries, kept, strict=True
        ):
            rows = gallery.row[anchors]
            logits, deltas, embeddings = (
                output[rows] for output in gallery.roi_outputs
            )
            results.append(
                self._result(
                    query.embedding,
                    gallery.boxes[anchors],
                    logits,
                    deltas,
                    embeddings,
                    gallery.meta,
                )
            )
        return results

    def _add_roi_outputs(
        self, galleries: Sequence[GalleryState], kept: Sequence[Tensor]
    ) -> None:
        """Run the RoI head on proposals that it has not seen."""
        wanted: dict[int, tuple[GalleryState, list[Tensor]]] = {}
        for gallery, anchors in zip(galleries, kept, strict=True):
            wanted.setdefault(id(gallery), (gallery, []))[1].append(anchors)
        for gallery, lists in wanted.values():
            anchors = torch.cat(lists).unique()
            anchors = anchors[gallery.row[anchors] < 0]
            if not len(anchors) and gallery.roi_outputs:
                continue
            rois = bbox2roi([gallery.boxes[anchors]])
            outputs = self._roi_outputs((gallery.feats,), rois)
            before = len(gallery.roi_outputs[0]) if gallery.roi_outputs else 0
            gallery.row[anchors] = before + torch.arange(
                len(anchors), device=anchors.device
            )
            if before:
                outputs = map(
                    torch.cat, zip(gallery.roi_outputs, outputs, strict=True)
                )
            gallery.roi_outputs = list(outputs)

    def _run_gated(
        self, pairs: list[tuple[QueryState, GalleryState]]
    ) -> list[PairResult]:
        queries, galleries = zip(*pairs, strict=True)
        gallery_map, regions, scores, boxes = self._gated_maps(
            queries, galleries
        )
        metas = [gallery.meta for gallery in galleries]
        feats = (gallery_map,)
        kept = self._proposals(
            gallery_map, regions.mean(dim=(2, 3)), scores, boxes
        )
        proposals = [box[k] for box, k in zip(boxes, kept, strict=True)]
        outputs = self._roi_outputs(feats, bbox2roi(proposals))
        embedded = self._embed(self._conv5(regions))
        sizes = [len(k) for k in kept]
        parts = zip(*(t.split(sizes) for t in outputs), strict=True)
        return [
            self._result(embedded[i : i + 1], box, *part, meta)
            for i, (box, part, meta) in enumerate(
                zip(proposals, parts, metas, strict=True)
            )
        ]

    def _gated_maps(
        self, queries: Sequence[QueryState], galleries: Sequence[GalleryState]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gallery maps, RoI features of the queries, and what the RPN says."""
        query_map, gallery_map = self.model.backbone.continue_pairs(
            Stream.batch([query.stream for query in queries]),
            Stream.batch([gallery.stream for gallery in galleries]),
        )
        regions = self.model.roi_head.bbox_roi_extractor(
            (query_map,), bbox2roi([query.box for query in queries])
        )
        metas = [gallery.meta for gallery in galleries]
        scores, boxes = self.model.rpn_head.anchors_of((gallery_map,), metas)
        return gallery_map, regions, scores, boxes

    def _proposals(
        self,
        feats: Tensor,
        guide: Tensor,
        scores: Sequence[Tensor],
        boxes: Sequence[Tensor],
    ) -> list[Tensor]:
        """Anchors of each pair, best first."""
        head = self.model.rpn_head
        if head.query_guided:
            logits = head.query_scores(feats, guide)
            scores = [
                head.merged(score, logit)
                for score, logit in zip(scores, logits, strict=True)
            ]
        return [
            select_anchors(score, box, head.test_cfg)
            for score, box in zip(scores, boxes, strict=True)
        ]

    def _roi_outputs(
        self, feats: tuple[Tensor], rois: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (R, 2), deltas (R, 4) and embeddings (R, D) of RoIs."""
        self.num_rois += len(rois)
        extract = self.model.roi_head.bbox_roi_extractor
        pooled = torch.cat(
            [self._conv5(extract(feats, part)) for part in rois.split(CHUNK)]
        )
        return (*self.model.roi_head.bbox_head(pooled), self._embed(pooled))

    def _conv5(self, regions: Tensor) -> Tensor:
        head = self.model.roi_head
        return head.over_cells(head.shared_head(regions))

    def _embed(self, pooled: Tensor) -> Tensor:
        return self.model.roi_head.oim_head(pooled)

    def _result(
        self,
        query: Tensor,
        boxes: Tensor,
        logits: Tensor,
        deltas: Tensor,
        embeddings: Tensor,
        meta: dict,
    ) -> PairResult:
        head = self.model.roi_head
        found, kept = head.detect(
            boxes, logits, deltas, meta['img_shape'], self.score_thr
        )
        similarity = head.similarity(query, embeddings[kept])
        factor = [1 / s for s in meta['scale_factor']]
        return PairResult(
            scale_boxes(found.bboxes, factor), found.scores, similarity
        )
