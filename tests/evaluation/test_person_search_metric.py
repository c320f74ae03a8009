"""The shell: samples in, the same result out however they come."""

import json

import numpy as np
import pytest
import torch
from mmdet.registry import METRICS
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mmps.evaluation import PersonSearchMetric, evaluate, read_dump
from mmps.evaluation.features import Features
from mmps.evaluation.per_query import read_per_query
from mmps.evaluation.scoring import score_features, score_findings
from tests.evaluation.random_sets import random_features
from tests.evaluation.test_features import big, records_of
from tests.evaluation.test_pairs import random_findings
from tests.ranks import run_ranks

mark = pytest.mark

OPTIONS = {
    'cws': True,
    'gt_boxes': True,
    'cbgm': {'k1': 2, 'k2': 2},
    'detected_query': True,
}


def samples_of(features: Features) -> list[DetDataSample]:
    """What a model would return, one per image."""
    samples = []
    for record in records_of(features):
        tensors = {
            name: torch.from_numpy(np.array(value))
            for name, value in record.items()
            if name != 'img_id'
        }
        sample = DetDataSample(metainfo={'img_id': record['img_id']})
        sample.pred_instances = InstanceData(
            bboxes=tensors['bboxes'],
            scores=tensors['scores'],
            labels=torch.zeros(len(tensors['scores']), dtype=torch.long),
            embeddings=tensors['embeddings'],
        )
        sample.gt_instances = InstanceData(
            bboxes=tensors['gt_bboxes'],
            instances_ids=tensors['gt_ids'],
            embeddings=tensors['gt_embeddings'],
        )
        if len(tensors['query_ids']):
            sample.query_instances = InstanceData(
                query_ids=tensors['query_ids'],
                embeddings=tensors['query_embeddings'],
            )
        samples.append(sample)
    return samples


def meta_of(features: Features) -> dict:
    return {
        'image_names': list(features.image_names),
        'queries': features.queries,
        'protocols': features.protocols,
    }


def run(features: Features, samples=None, batch: int = 1, **options) -> dict:
    """As mmengine's test loop does it."""
    samples = samples_of(features) if samples is None else samples
    evaluator = Evaluator(PersonSearchMetric(**options))
    evaluator.dataset_meta = meta_of(features)
    for start in range(0, len(samples), batch):
        evaluator.process(samples[start : start + batch], {})
    return evaluator.evaluate(len(samples))


def test_is_registered_and_refuses_typos():
    metric = METRICS.build({'type': 'PersonSearchMetric', 'det_thr': 0.4})
    assert metric.det_thr == 0.4
    with pytest.raises(TypeError, match='det_thresh'):
        METRICS.build({'type': 'PersonSearchMetric', 'det_thresh': 0.4})
    with pytest.raises(ValueError, match='det_thr'):
        PersonSearchMetric(det_thr=-1)
    with pytest.raises(ValueError, match='duplicates'):
        PersonSearchMetric(duplicates='twice')
    with pytest.raises(ValueError, match=r'ends in \.csv or \.json'):
        PersonSearchMetric(per_query='queries.txt')


def test_equals_the_pure_function():
    for seed in range(5):
        features = random_features(seed)
        got = run(features, **OPTIONS, duplicates='oim', det_thr=0.6)
        expected = evaluate(features, **OPTIONS, duplicates='oim', det_thr=0.6)
        assert repr(got) == repr(expected)


def test_batches_and_order_change_nothing():
    features = big(20)
    expected = repr(run(features, **OPTIONS))
    samples = samples_of(features)
    for batch in (2, 5):
        assert repr(run(features, samples, batch, **OPTIONS)) == expected
    order = np.random.default_rng(0).permutation(len(samples))
    shuffled = [samples[i] for i in order]
    assert repr(run(features, shuffled, 2, **OPTIONS)) == expected


def share_of_the_sets(rank: int, ranks: int, seeds: list[int]) -> list[str]:
    """What one of the processes reports; the sampler pads odd sets."""
    results = []
    for seed in seeds:
        features = random_features(seed)
        samples = samples_of(features)
        metric = PersonSearchMetric(**OPTIONS)
        metric.dataset_meta = meta_of(features)
        for i in range(-(-len(samples) // ranks)):
            sample = samples[(ranks * i + rank) % len(samples)]
            metric.process({}, [sample.to_dict()])
        results.append(repr(metric.evaluate(len(samples))))
    return results


@pytest.mark.parametrize(
    'ranks',
    [2, *(pytest.param(n, marks=[mark.slow, mark.long]) for n in (3, 4))],
)
def test_several_processes_equal_one_to_the_last_digit(ranks, tmp_path):
    seeds = list(range(10))
    sets = [random_features(seed) for seed in seeds]
    assert {bool(len(s.image_names) % ranks) for s in sets} == {False, True}
    expected = [repr(run(features, **OPTIONS)) for features in sets]
    got = run_ranks(ranks, tmp_path, share_of_the_sets, ranks, seeds)
    assert got == [expected] * ranks


def test_dump_keeps_detections_below_the_cut(tmp_path):
    features = big(30)
    path = tmp_path / 'features.npz'
    result = run(features, dump=str(path), **OPTIONS)
    assert repr(evaluate(read_dump(path), **OPTIONS)) == repr(result)
    assert repr(evaluate(read_dump(path), det_thr=0.0)) == repr(
        evaluate(features, det_thr=0.0)
    )


def test_single_queries_are_written(tmp_path):
    features = big(30)
    path = tmp_path / 'new' / 'queries.csv'
    run(features, per_query=str(path), **OPTIONS)
    expected = score_features(features, **OPTIONS).queries
    assert read_per_query(path) == expected
    assert {line.protocol for line in expected} >= {'first', 'first+cbgm'}


def test_single_queries_of_pairs_are_written(tmp_path):
    features = big(30)
    findings, _ = random_findings(np.random.default_rng(0), features, False)
    path = tmp_path / 'queries.json'
    metric = PersonSearchMetric(per_query=str(path), cws=True)
    result = metric.evaluate_pairs(findings, meta_of(features), features)
    scored = score_findings(
        findings,
        features.protocols,
        features.queries,
        features.image_names,
        cws=True,
    )
    assert read_per_query(path) == scored.queries
    assert repr({key: result[key] for key in scored.result}) == repr(
        scored.result
    )
    assert 'det/recall-labelled' in result


def test_half_precision_is_read_as_float32():
    features = big(40)
    samples = samples_of(features)
    for sample in samples:
        found = sample.pred_instances
        found.scores = found.scores.to(torch.bfloat16)
    metric = PersonSearchMetric()
    metric.process({}, [sample.to_dict() for sample in samples])
    assert {r['scores'].dtype for r in metric.results} == {np.dtype('f4')}


def test_set_without_queries_scores_detection_alone():
    features = big(50)
    metric = PersonSearchMetric()
    metric.dataset_meta = {'image_names': features.image_names}
    for sample in samples_of(features):
        del sample.pred_instances.embeddings
        metric.process({}, [sample.to_dict()])
    result = metric.evaluate(len(features.image_names))
    assert result == evaluate(features, protocols=[])


def test_detector_on_a_search_set():
    features = big(50)
    samples = samples_of(features)
    for sample in samples:
        del sample.pred_instances.embeddings
        del sample.gt_instances.embeddings
        if 'query_instances' in sample:
            del sample.query_instances
    result = run(features, samples, protocols=[])
    assert result == evaluate(features, protocols=[])
    with pytest.raises(ValueError, match='no embedding'):
        run(features, samples)


def test_sample_without_ground_truth_is_refused():
    (sample, *_) = samples_of(big())
    del sample.gt_instances
    with pytest.raises(ValueError, match="needs 'gt_instances'"):
        PersonSearchMetric().process({}, [sample.to_dict()])


def test_table_is_logged(capsys):
    from mmengine.logging import MMLogger

    MMLogger.get_instance('mmps-test-table', logger_name='x')
    try:
        run(big(60))
    finally:
        MMLogger._instance_dict.pop('mmps-test-table')
    shown = capsys.readouterr()
    assert 'person search, in percent' in shown.out + shown.err


# --- mmps score


def test_score_gives_the_numbers_of_the_metric(tmp_path, command):
    features = big(70)
    dump, out = tmp_path / 'features.npz', tmp_path / 'result.json'
    expected = run(
        features,
        dump=str(dump),
        protocols=['second'],
        duplicates='unique',
        **OPTIONS,
    )
    code, shown, _ = command(
        'score',
        *(str(dump), '--protocol', 'second', '--duplicates', 'unique'),
        *('--cws', '--gt-boxes', '--cbgm', '2', '2', '--detected-query'),
        *('--out', str(out)),
    )
    assert code == 0
    assert 'second+cbgm' in shown
    plain = {k: None if v != v else v for k, v in expected.items()}
    assert json.loads(out.read_text()) == plain


def test_score_writes_single_queries_and_other_variants(tmp_path, command):
    features = big(70)
    dump, out = tmp_path / 'features.npz', tmp_path / 'queries.csv'
    run(features, dump=str(dump))
    cbgm = ('--cbgm', '2', '3', '--cbgm-variant', 'sum')
    _, shown, _ = command('score', dump, *cbgm, '--per-query', out)
    assert 'first+cbgm-sum' in shown
    ks = {'k1': 2, 'k2': 3, 'variant': 'sum'}
    assert read_per_query(out) == score_features(features, cbgm=ks).queries


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['none.npz'], 'none.npz: no such file; `mmps test --dump` writes'),
        (['bad.npz'], 'bad.npz: not a readable feature dump'),
        (['bad.npz', '--per-query', 'q.txt'], 'ends in .csv'),
        (['bad.npz', '--cbgm-variant', 'sum'], '--cbgm-variant: needs --cbgm'),
    ],
)
def test_score_says_what_is_wrong(words, message, tmp_path, command):
    (tmp_path / 'bad.npz').write_text('{"a": 1}')  # a JSON in place of an npz
    code, out, err = command('score', tmp_path / words[0], *words[1:])
    assert (code, out) == (2, '')
    assert err.startswith('mmps score: ')
    assert message in err
    assert 'pickle' not in err
