"""Test a query-guided network: every query on every image of its gallery.

Pairs are cut into units. Each process takes the next unit that nobody has,
and what a unit has found is a file in a folder that all processes share. So
they are all busy until the end, a process that dies loses its unit alone,
and a test that is started again goes on with the units that are not done.
Nothing that lasts is waited for in a collective: who has nothing left to do
looks for files.
"""

import json
import time
import uuid
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, get_dist_info
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop, Runner, autocast
from torch import nn
from tqdm import tqdm

from mmps.fingerprint import fingerprint

from .claims import Claims
from .features import Features
from .pair_findings import append_unsearched, by_query, collect, most_similar
from .pair_pictures import PairPictures
from .pair_store import Identities, PairStore, note_settings, outdated
from .pairs import images_to_search
from .person_search_metric import PersonSearchMetric, unpack
from .plain_pass import chunk_files, chunks, read_records, write_records
from .records import gather
from .result_text import write_json
from .scoring import select
from .stored_pairs import note_test_set
from .units import Unit, cut, run_units, unit_size


@LOOPS.register_module()
class PairTestLoop(BaseLoop):
    """Runs pairs and hands what they yield to ``PersonSearchMetric``.

    Args:
        runner: Its model has ``pair_searcher``. All processes have the same
            ``work_dir``.
        dataloader: Of the test set; its ``num_workers`` threads read
            pictures ahead.
        evaluator: One ``PersonSearchMetric``.
        batch_size: Pairs at a time.
        queries_at_once: Queries of a block: each gallery image is read once
            for a block.
        unit_pairs: Approximate number of pairs of a unit, which is what a
            killed process loses. None cuts the test into about 1000 units
            of 32 to 2048 pairs.
        cache_mb: Maximum cache for the queries of a block, in MB.
        cascade_topk: Rank the images of a query's galleries, all protocols
            together, by the plain embeddings of the same network first, and
            run pairs on the best k alone; the others follow behind them in
            their plain order. None runs all.
        num_queries: Test the first queries alone, to measure speed.
        stale_after: Seconds without a sign of life after which the unit of a
            process is run by another one.
        fp16: Half precision (bfloat16 on a CPU), as of ``TestLoop``.
    """

    #: Seconds between looking for what others have done.
    poll = 1.0

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: dict,
        *,
        batch_size: int = 16,
        queries_at_once: int = 64,
        unit_pairs: int | None = None,
        cache_mb: float = 1024,
        cascade_topk: int | None = None,
        num_queries: int | None = None,
        stale_after: float = 120,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader)
        for name, value in (
            ('batch_size', batch_size),
            ('queries_at_once', queries_at_once),
            ('unit_pairs', unit_pairs),
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
        self.unit_pairs = unit_pairs
        self.cache_mb = cache_mb
        self.cascade_topk = cascade_topk
        self.num_queries = num_queries
        self.stale_after = stale_after
        self.fp16 = fp16

    @property
    def model(self) -> nn.Module:
        """The network, not wrapped."""
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    @property
    def dataset(self):
        """The test set."""
        return self.dataloader.dataset

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

    def searcher(self):
        """What runs pairs of the network."""
        return self.model.pair_searcher(self.metric.det_thr, self.cache_mb)

    def pictures(self) -> PairPictures:
        """What reads pictures of the test set; a context."""
        return PairPictures(self.dataset, self.dataloader.num_workers)

    def store(self) -> PairStore:
        """Where the findings of this network are."""
        settings = self._settings()
        key = fingerprint(self.model.state_dict(), settings)
        pairs = Path(self.runner.work_dir) / 'pairs'
        note_settings(pairs / key, settings)
        meta = self.dataset.metainfo
        identities = Identities.of(
            meta['image_names'],
            [
                self.dataset.get_data_info(image)['img_path']
                for image in range(len(self.dataset))
            ],
            meta['queries'],
        )
        return PairStore(pairs / key, identities, self.metric.det_thr)

    def wanted(self) -> dict[int, np.ndarray]:
        """Query -> images of its galleries, all protocols together."""
        meta = self.dataset.metainfo
        protocols = select(meta['protocols'], self.metric.protocols)
        wanted = images_to_search(protocols, len(meta['image_names']))
        return dict(list(wanted.items())[: self.num_queries])

    def missing(self) -> dict[int, np.ndarray]:
        """The wanted pairs that are not on disk, a cascade left out."""
        store, wanted = self.store(), self.wanted()
        return store.missing(wanted, store.usable(wanted)[0])

    def _settings(self) -> dict:
        """What findings depend on beside weights, pictures and threshold."""
        network = self.runner.cfg.model.to_dict()
        settings = self.model.pair_settings()
        for rcnn in (
            network.get('test_cfg', {}).get('rcnn'),
            settings['rcnn'],
        ):
            (rcnn or {}).pop('score_thr', None)  # det_thr takes its place
        return dict(
            fp16=self.fp16,
            model=settings,
            network=network,
            pipeline=self.runner.cfg.test_dataloader.dataset.pipeline,
        )

    def _run(self) -> dict:
        store = self.store()
        self._warn_of_outdated(store.folder.parent)
        claims = Claims(store.folder / 'claims', self.stale_after)
        with claims, self.pictures() as pictures:
            result = self._result_file(store, claims)
            if get_dist_info()[0] == 0:
                note_test_set(
                    store.folder, self.dataset.metainfo, store.identities
                )
            plain = None
            to_run = wanted = self.wanted()
            if self.cascade_topk is not None:
                plain = self._plain_features(store, claims, pictures)
                to_run = {
                    query: most_similar(
                        plain, query, images, self.cascade_topk
                    )
                    for query, images in wanted.items()
                }
            files = self._run_pairs(store, claims, pictures, to_run)
            return self._scored(
                result,
                claims,
                lambda: self._score(store, files, to_run, wanted, plain),
            )

    def _result_file(self, store: PairStore, claims: Claims) -> Path:
        """Where this test leaves its figures, known to all processes.

        Rank 0 is the one to score, as long as it lives.
        """
        name = [f'{time.strftime("%Y%m%d_%H%M%S")}_{uuid.uuid4().hex[:8]}']
        if get_dist_info()[0] == 0:
            claims.take(name[0])
        broadcast_object_list(name)  # all are here at about the same time
        return store.folder / 'results' / f'{name[0]}.json'

    def _run_pairs(
        self,
        store: PairStore,
        claims: Claims,
        pictures: PairPictures,
        wanted: dict[int, np.ndarray],
    ) -> list[Path]:
        """Run the pairs that are not on disk; the files that have all."""
        shape = (self.batch_size, self.queries_at_once, self.unit_pairs or 0)
        plan, reused, too_high = store.plan(wanted, shape)
        missing = store.missing(wanted, reused)
        total = sum(map(len, wanted.values()))
        num = sum(map(len, missing.values()))
        size = self.unit_pairs or unit_size(num)
        units = list(cut(missing, self.queries_at_once, size))
        files = store.units(plan, len(units))
        there = sum(file.exists() for file in files)
        self._say(
            f'{total} pairs, {total - num} of them from earlier tests; '
            f'{num} in {len(units)} units, {there} of them already done '
            f'({store.folder})'
        )
        if too_high:
            self._say(
                f'{too_high} pairs are on disk with a det_thr above '
                f'{self.metric.det_thr:g} and will run again'
            )
        self._run_units(store, claims, pictures, units, files)
        return [*reused, *files]

    def _run_units(
        self,
        store: PairStore,
        claims: Claims,
        pictures: PairPictures,
        units: list[Unit],
        files: list[Path],
    ) -> None:
        searcher, ran = self.searcher(), []
        progress = tqdm(
            total=sum(len(unit.queries) for unit in units),
            unit=' pairs',
            disable=None if get_dist_info()[0] == 0 else True,
        )

        def run(number: int) -> None:
            unit = units[number]
            found = searcher.run(*unit, pictures, self.batch_size)
            store.write(files[number], collect(*unit, found))
            ran.append(unit)

        with progress:
            run_units(
                files,
                run,
                claims,
                start=self._start(len(units)),
                done=lambda number: progress.update(
                    len(units[number].queries)
                ),
                waiting=self._waiting('units of pairs'),
                poll=self.poll,
            )
        if ran:
            self._report(searcher, pictures, ran)

    def _report(self, searcher, pictures: PairPictures, ran: list) -> None:
        """Say what this process has done."""
        gallery = pictures.decoded['gallery']
        # a unit is of one block, and has its images to itself in there
        distinct = sum(len(np.unique(unit.images)) for unit in ran)
        print_log(
            f'{sum(len(unit.queries) for unit in ran)} pairs run here in '
            f'{len(ran)} units; {gallery} gallery images decoded, '
            f'{gallery / distinct:.2f} for each image and block of queries; '
            f'{pictures.decoded["query"]} query images decoded; images took '
            f'at most {searcher.peak / 2**20:.0f} MB of memory, queries were '
            f'bounded by cache_mb={self.cache_mb:g}',
            logger='current',
        )

    def _plain_features(
        self, store: PairStore, claims: Claims, pictures: PairPictures
    ) -> Features:
        """Of one pass over all images, each on its own."""
        meta, metric = self.dataset.metainfo, self.metric
        num, batch = len(self.dataset), self.dataloader.batch_size
        parts = chunks(num, batch)
        infos = map(self.dataset.get_data_info, range(num))
        annotations = [
            [info['instances'], info['query_ids'], info['query_bboxes']]
            for info in infos
        ]
        score_thr = self.model.roi_head.test_cfg.get('score_thr')
        images = store.identities.images.tolist()
        files = chunk_files(
            store.folder,
            num,
            batch,
            [metric.det_thr, score_thr, images, annotations],
        )

        def run(number: int) -> None:
            items = list(pictures.images(parts[number], 'plain'))
            records = []
            for start in range(0, len(items), batch):
                records += self._records(items[start : start + batch])
            write_records(files[number], records)

        run_units(
            files,
            run,
            claims,
            start=self._start(len(files)),
            waiting=self._waiting('units of the plain pass'),
            poll=self.poll,
        )
        return gather(
            [record for file in files for record in read_records(file)],
            meta['image_names'],
            meta['queries'],
            select(meta['protocols'], metric.protocols),
        )

    @torch.no_grad()
    def _records(self, items: list[dict]) -> list[dict]:
        """Of a batch of single images, what ``gather`` needs."""
        data = {key: [item[key] for item in items] for key in items[0]}
        records = []
        for sample in self.model.test_step(data):
            record = unpack(sample.to_dict())
            kept = record['scores'] >= self.metric.det_thr
            for name in ('bboxes', 'scores', 'embeddings'):
                record[name] = record[name][kept]
            records.append(record)
        return records

    def _scored(self, file: Path, claims: Claims, score) -> dict:
        """Figures of the test: this process scores, or waits for them."""
        waiting = self._waiting('scores')
        while not file.exists():
            if claims.has(file.stem) or claims.take(file.stem):
                result = score()
                file.parent.mkdir(parents=True, exist_ok=True)
                write_json(result, file)
                return result
            waiting(1)
            time.sleep(self.poll)
        figures = json.loads(file.read_text())
        return {
            key: float('nan') if value is None else value
            for key, value in figures.items()
        }

    def _score(
        self,
        store: PairStore,
        files: list[Path],
        run: dict[int, np.ndarray],
        wanted: dict[int, np.ndarray],
        plain: Features | None,
    ) -> dict:
        findings = by_query(store.read(files, run), run)
        if plain is not None:
            findings = {
                query: append_unsearched(found, query, wanted[query], plain)
                for query, found in findings.items()
            }
        return self.metric.evaluate_pairs(
            findings, self.dataset.metainfo, plain
        )

    @staticmethod
    def _start(number: int) -> int:
        """Where this process begins among ``number`` units."""
        rank, world_size = get_dist_info()
        return rank * number // world_size

    def _waiting(self, what: str):
        """Says every minute that others are still at work."""
        said = [time.monotonic()]

        def waiting(number: int) -> None:
            if time.monotonic() - said[0] >= 60:
                said[0] = time.monotonic()
                print_log(
                    f'waiting for {number} {what} of other processes',
                    logger='current',
                )

        return waiting

    def _warn_of_outdated(self, pairs: Path) -> None:
        for folder in outdated(pairs):
            self._say(
                f'{folder} has findings of an earlier version of mmps, which '
                'are not used; you can delete it'
            )

    @staticmethod
    def _say(message: str) -> None:
        if get_dist_info()[0] == 0:
            print_log(message, logger='current')
