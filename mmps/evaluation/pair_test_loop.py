"""Test a query-guided network: every query on every image of its gallery.

What depends on one image alone is computed once and kept within a bound (the
model's ``pair_searcher``). Queries are run in groups; a group that is done is
a file, so that a killed test goes on with the groups that are not, and several
processes share the work.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import (
    barrier,
    broadcast_object_list,
    collect_results,
    get_dist_info,
)
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop, Runner, autocast
from torch import nn
from tqdm import tqdm

from .evaluate import select
from .features import Features
from .pair_findings import (
    behind,
    collect,
    fingerprint,
    most_similar,
    not_done,
    read_findings,
    write_findings,
)
from .pairs import images_to_search
from .person_search_metric import PersonSearchMetric
from .records import gather
from .run_pairs import (
    batched,
    begin_gallery,
    begin_query,
    preprocessed,
    run_pairs,
)


@LOOPS.register_module()
class PairTestLoop(BaseLoop):
    """Runs pairs and hands what they yield to ``PersonSearchMetric``.

    Args:
        runner: Its model has ``pair_searcher``.
        dataloader: Of the test set.
        evaluator: One ``PersonSearchMetric``.
        batch_size: Pairs at a time.
        queries_at_once: Queries of a group. Larger groups read and compute
            each gallery image less often, smaller ones lose less when the
            test is killed.
        cache_mb: Bound of what is kept of gallery images, in MB.
        cascade_topk: Rank the images of a query's galleries, all protocols
            together, by the plain embeddings of the same network first, and
            run pairs on the best k alone; the others follow behind them in
            their plain order. None runs all.
        num_queries: Test the first queries alone, to measure speed.
        fp16: Half precision (bfloat16 on a CPU), as of ``TestLoop``.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: dict,
        *,
        batch_size: int = 16,
        queries_at_once: int = 64,
        cache_mb: float = 1024,
        cascade_topk: int | None = None,
        num_queries: int | None = None,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader)
        for name, value in (
            ('batch_size', batch_size),
            ('queries_at_once', queries_at_once),
            ('cascade_topk', cascade_topk),
            ('num_queries', num_queries),
        ):
            if value is not None and value < 1:
                raise ValueError(f'{name} must be >= 1, got {value}')
        self.evaluator = runner.build_evaluator(evaluator)
        self.evaluator.dataset_meta = self.dataloader.dataset.metainfo
        metrics = self.evaluator.metrics
        if len(metrics) != 1 or not isinstance(metrics[0], PersonSearchMetric):
            raise ValueError(
                'PairTestLoop needs test_evaluator=dict(type='
                "'PersonSearchMetric', ...), and that alone"
            )
        self.metric: PersonSearchMetric = metrics[0]
        self.metric.check_pairs()
        self.batch_size = batch_size
        self.queries_at_once = queries_at_once
        self.cache_mb = cache_mb
        self.cascade_topk = cascade_topk
        self.num_queries = num_queries
        self.fp16 = fp16

    @property
    def model(self) -> nn.Module:
        """The network, not wrapped."""
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    def run(self) -> dict:
        """Launch the test."""
        runner = self.runner
        runner.call_hook('before_test')
        runner.call_hook('before_test_epoch')
        self.model.eval()
        with autocast(enabled=self.fp16):
            metrics = self._run()
        runner.call_hook('after_test_epoch', metrics=metrics)
        runner.call_hook('after_test')
        return metrics

    def _run(self) -> dict:
        meta = self.dataloader.dataset.metainfo
        protocols = select(meta['protocols'], self.metric.protocols)
        wanted = images_to_search(protocols, len(meta['image_names']))
        queries = list(wanted)[: self.num_queries]
        plain = None
        if self.cascade_topk is not None:
            plain = self._plain_features(protocols)
        folder = Path(self.runner.work_dir) / 'pairs' / self._fingerprint()
        groups = {
            folder / f'{group[0]}_{len(group)}.npz': group
            for group in batched(queries, self.queries_at_once)
        }
        self._run_groups(groups, wanted, plain)
        barrier()
        metrics = [None]
        rank, _ = get_dist_info()
        if rank == 0:
            findings = {}
            for file in groups:
                findings.update(read_findings(file))
            metrics = [self.metric.evaluate_pairs(findings, meta, plain)]
        broadcast_object_list(metrics)
        return metrics[0]

    def _run_groups(
        self,
        groups: dict[Path, list[int]],
        wanted: dict[int, np.ndarray],
        plain: Features | None,
    ) -> None:
        """Run the groups of this process that are not done.

        Args:
            groups: File of its findings -> queries of a group.
            wanted: Query -> images of its galleries.
            plain: See ``_plain_features``; None without a cascade.
        """
        todo = {
            file: {
                query: self._to_run(query, wanted[query], plain)
                for query in group
            }
            for file, group in not_done(groups).items()
        }
        searcher = self.model.pair_searcher(self.metric.det_thr, self.cache_mb)
        total = sum(
            len(i) for images in todo.values() for i in images.values()
        )
        rank, _ = get_dist_info()
        with tqdm(
            total=total, unit=' pairs', disable=None if rank == 0 else True
        ) as progress:
            for file, images in todo.items():
                found = run_pairs(
                    searcher,
                    images,
                    partial(self.query_state, searcher),
                    partial(self.gallery_state, searcher),
                    self.batch_size,
                    progress.update,
                )
                findings = {
                    query: collect(images[query], results)
                    for query, results in found.items()
                }
                if plain is not None:
                    findings = {
                        query: behind(ahead, query, wanted[query], plain)
                        for query, ahead in findings.items()
                    }
                write_findings(file, findings)
        if todo:
            print_log(
                f'{total} pairs run; gallery images took at most '
                f'{searcher.cache.peak / 2**20:.0f} of {self.cache_mb:g} MB',
                logger='current',
            )

    def _to_run(
        self, query: int, images: np.ndarray, plain: Features | None
    ) -> np.ndarray:
        """The images to run: all, or the most similar by embedding."""
        if plain is None:
            return images
        return most_similar(plain, query, images, self.cascade_topk)

    def gallery_state(self, searcher, image: int):
        """What ``searcher`` keeps of a gallery image.

        Args:
            searcher: The model's ``pair_searcher``.
            image: Index in metainfo['image_names'].
        """
        return begin_gallery(searcher, *self._load(image))

    def query_state(self, searcher, query: int):
        """What ``searcher`` keeps of a query.

        Args:
            searcher: The model's ``pair_searcher``.
            query: Position in metainfo['queries'].
        """
        record = self.dataloader.dataset.metainfo['queries'][query]
        inputs, sample = self._load(record.image)
        given = sample.query_instances  # cut off at the image
        box = given.bboxes[given.query_ids == query][0]
        return begin_query(searcher, inputs, sample, box)

    def _load(self, image: int):
        inputs, sample = preprocessed(
            self.model, self.dataloader.dataset[image]
        )
        if sample.img_id != image:
            raise ValueError(
                f'item {image} of the test set is image {sample.img_id}: '
                'pairs need the whole test set, without indices or filter_cfg'
            )
        return inputs, sample

    def _plain_features(self, protocols: dict) -> Features:
        """One pass over all images, each on its own, gathered everywhere."""
        metric = self.metric
        metric.results.clear()
        for data in tqdm(
            self.dataloader, unit=' images', desc='plain pass', disable=None
        ):
            with torch.no_grad():
                samples = self.model.test_step(data)
            metric.process(data, [sample.to_dict() for sample in samples])
        meta = self.dataloader.dataset.metainfo
        records = collect_results(
            metric.results, len(self.dataloader.dataset), 'cpu'
        )
        metric.results.clear()
        features = [None]
        if records is not None:
            features = [
                gather(
                    records, meta['image_names'], meta['queries'], protocols
                )
            ]
        broadcast_object_list(features)
        return features[0]

    def _fingerprint(self) -> str:
        meta = self.dataloader.dataset.metainfo
        wanted = images_to_search(
            select(meta['protocols'], self.metric.protocols),
            len(meta['image_names']),
        )
        return fingerprint(
            self.model.state_dict(),
            {number: meta['queries'][number] for number in wanted},
            wanted,
            dict(
                images=meta['image_names'],
                protocols=self.metric.protocols,
                det_thr=self.metric.det_thr,
                cascade_topk=self.cascade_topk,
                fp16=self.fp16,
                model=self.model.pair_settings(),
                network=self.runner.cfg.model,
                pipeline=self.runner.cfg.test_dataloader.dataset.pipeline,
            ),
        )
