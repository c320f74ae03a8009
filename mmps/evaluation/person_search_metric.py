"""The metric that mmengine calls: unpack, delegate, log."""

from collections.abc import Sequence

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from .dump import write_dump
from .features import Features
from .pairs import PairFindings
from .per_query import check_per_query, write_per_query
from .rankings import Search, search_of_features, search_of_pairs
from .records import gather
from .result_text import describe_result
from .scoring import (
    Scored,
    check_options,
    detection_figures,
    score_features,
    score_findings,
    select,
)


@METRICS.register_module()
class PersonSearchMetric(BaseMetric):
    """Search and detection figures of a test set from one pass over it.

    Reads ``image_names``, ``queries`` and ``protocols`` of the data set's
    metainfo; a set without queries scores detection alone. What the figures
    mean is written in ``docs/evaluation.md``. Options add rows beside the
    standard ones, they never change these.

    Args:
        det_thr: Detections below this score are not there; in [0, 1].
        protocols: Names; all of the data set for None, detection alone for
            [] (a model without embeddings).
        duplicates: For a gallery that lists an image twice: 'seqnet', 'oim'
            or 'unique'; see ``search.score_search``.
        cws: Add rows '+cws', similarity times detection score.
        gt_boxes: Add rows '+gt-boxes', ground-truth boxes as detections.
        cbgm: ``dict(k1=10, k2=3)`` adds rows '+cbgm', context matching as the
            published program does it; with ``variant='sum'`` rows
            '+cbgm-sum'; see ``docs/evaluation.md``.
        detected_query: Add rows '+detected-query', where the query is the
            detection on its box.
        dump: Write the features to this file (``mmps score`` reads it).
        per_query: Write what each query found to this file, .csv or .json
            (``mmps compare-runs`` compares two of them).
        collect_device: 'cpu' or 'gpu': how mmengine gathers results of several
            processes.
        collect_dir: Shared folder for the gathering on 'cpu'; None for a
            temporary one.

    Attributes:
        search: What was ranked last, in the process that has scored; None
            before, elsewhere and for detection alone.
    """

    # Names of results are complete; None would make mmengine warn.
    default_prefix = ''

    def __init__(
        self,
        *,
        det_thr: float = 0.5,
        protocols: Sequence[str] | None = None,
        duplicates: str = 'seqnet',
        cws: bool = False,
        gt_boxes: bool = False,
        cbgm: dict | None = None,
        detected_query: bool = False,
        dump: str | None = None,
        per_query: str | None = None,
        collect_device: str = 'cpu',
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(
            collect_device=collect_device, collect_dir=collect_dir
        )
        check_options(
            det_thr=det_thr,
            protocols=protocols,
            duplicates=duplicates,
            cbgm=cbgm,
        )
        if per_query is not None:
            check_per_query(per_query)
        self.det_thr = det_thr
        self.protocols = protocols
        self.dump = dump
        self.per_query = per_query
        self.search: Search | None = None
        self.options = {
            'duplicates': duplicates,
            'cws': cws,
            'gt_boxes': gt_boxes,
            'cbgm': cbgm,
            'detected_query': detected_query,
        }

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep what scoring needs of each image, as float32 arrays."""
        for sample in data_samples:
            record = unpack(sample)
            if self.dump is None:
                # what no figure can use need not travel between processes
                keep = record['scores'] >= self.det_thr
                for name in ('bboxes', 'scores', 'embeddings'):
                    if record[name] is not None:
                        record[name] = record[name][keep]
            self.results.append(record)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Score the records of all processes."""
        meta = self.dataset_meta
        protocols = select(meta.get('protocols') or {}, self.protocols)
        features = gather(
            results,
            meta['image_names'],
            meta.get('queries') or () if protocols else (),
            protocols,
        )
        if self.dump is not None:
            write_dump(features, self.dump, det_thr=self.det_thr)
        scored = score_features(features, det_thr=self.det_thr, **self.options)
        if protocols:
            self.search = search_of_features(
                features, self.det_thr, self.options['duplicates']
            )
        return self._report(scored)

    def check_pairs(self) -> None:
        """Refuse options that a search pair by pair cannot have."""
        asked = [
            name
            for name in ('gt_boxes', 'cbgm', 'detected_query')
            if self.options[name]
        ]
        if self.dump is not None:
            asked.append('dump')
        if asked:
            raise ValueError(
                'pairs of a query-guided network have no embeddings of their '
                f'own; leave out {asked} of test_evaluator'
            )

    def evaluate_pairs(
        self,
        findings: dict[int, PairFindings],
        meta: dict,
        plain: Features | None = None,
    ) -> dict[str, float]:
        """Score what a query-guided network has found pair by pair.

        Args:
            findings: Of every query that was run; protocols are scored on
                these queries alone.
            meta: Metainfo of the test set.
            plain: Of a pass over single images; adds the detection figures.
        """
        result = {}
        if plain is not None:
            result = detection_figures(plain, self.det_thr)
        protocols = select(meta['protocols'], self.protocols)
        self.search = search_of_pairs(
            findings,
            meta['image_names'],
            meta['queries'],
            protocols,
            self.options['duplicates'],
        )
        scored = score_findings(
            findings,
            self.search.protocols,
            meta['queries'],
            meta['image_names'],
            duplicates=self.options['duplicates'],
            cws=self.options['cws'],
        )
        return self._report(
            Scored({**result, **scored.result}, scored.queries)
        )

    def _report(self, scored: Scored) -> dict[str, float]:
        """Log the result, write what is to be written, return the result."""
        if self.per_query is not None:
            write_per_query(scored.queries, self.per_query)
        print_log('\n' + describe_result(scored.result), logger='current')
        return scored.result


def unpack(sample: dict) -> dict:
    """Read one ``DetDataSample``, as a dict, into a record for ``gather``."""
    for name in ('img_id', 'pred_instances', 'gt_instances'):
        if name not in sample:
            raise ValueError(
                f"PersonSearchMetric needs '{name}' in every data sample, got "
                f'{sorted(sample)}'
            )
    found, people = sample['pred_instances'], sample['gt_instances']
    queries = sample.get('query_instances') or {}
    return {
        'img_id': int(sample['img_id']),
        'bboxes': _floats(found['bboxes']),
        'scores': _floats(found['scores']),
        'embeddings': _floats(found.get('embeddings')),
        'gt_bboxes': _floats(people['bboxes']),
        'gt_ids': _array(people['instances_ids']).astype(np.int64),
        'gt_embeddings': _floats(people.get('embeddings')),
        'query_ids': _array(queries.get('query_ids', ())).astype(np.int64),
        'query_embeddings': _floats(queries.get('embeddings', ())),
    }


def _array(values) -> np.ndarray:
    values = getattr(values, 'tensor', values)  # mmdet's HorizontalBoxes
    if hasattr(values, 'detach'):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)


def _floats(values) -> np.ndarray | None:
    return None if values is None else _array(values).astype(np.float32)
