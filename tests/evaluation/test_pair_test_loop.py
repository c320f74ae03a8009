"""The pairwise test: whole runs on a few scenes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine import runner as mmengine_runner
from mmengine.model import MMDistributedDataParallel

from mmps.apis import run_test
from mmps.evaluation import PairTestLoop, PersonSearchMetric
from mmps.evaluation.features import Features
from mmps.evaluation.pair_findings import cosines
from mmps.evaluation.pairs import images_to_search
from mmps.models.pair_search import PairSearcher
from tests.evaluation.pair_runs import (
    GALLERY,
    NOISE,
    PIXELS,
    PROTOCOL,
    QUERIES,
    UNITS,
    assert_same,
    check_same_findings,
    configured,
    files_of,
    findings_in,
    loaded,
    make_loop,
    runner_of,
    shell,
)
from tests.ranks import run_ranks


def test_the_scenes_can_tell_a_good_from_a_bad_ranking(expected):
    assert expected[f'{PROTOCOL}/queries'] == QUERIES
    assert expected[f'{PROTOCOL}/found'] > QUERIES / 2
    assert 0 < expected[f'{PROTOCOL}/mAP'] < 1
    assert not any(key.startswith('det/') for key in expected)


@pytest.mark.parametrize(
    'options',
    [
        {'batch_size': 1},
        {'batch_size': 7, 'queries_at_once': 1},
        {'queries_at_once': QUERIES + 1, 'unit_pairs': 33},
        {'unit_pairs': None},
    ],
    ids=str,
)
def test_batches_and_units_change_nothing_but_the_last_bits(
    make, expected, expected_findings, pairs_run, options
):
    loop = make(**options)
    assert_same(loop.run(), expected)
    check_same_findings(findings_in(loop), expected_findings)
    assert pairs_run == [QUERIES * GALLERY]


@pytest.mark.parametrize('options', [{'cache_mb': 0}, {'threads': 3}], ids=str)
def test_memory_and_threads_that_read_change_nothing(
    make, expected, expected_findings, options
):
    threads = options.pop('threads', 0)
    loop = make(**options)
    loop.dataloader.num_workers = threads
    assert loop.run() == expected
    check_same_findings(findings_in(loop), expected_findings, noise=0)


def test_findings_are_those_of_pairs_run_one_by_one(make):
    loop = make(num_queries=2)
    loop.run()
    meta = loop.dataloader.dataset.metainfo
    model, dataset = loop.model, loop.dataloader.dataset

    def read(number):
        item = dataset[number]
        data = {key: [value] for key, value in item.items()}
        data = model.data_preprocessor(data, False)
        return data['inputs'], data['data_samples'][0].metainfo

    for query, found in findings_in(loop).items():
        record = meta['queries'][query]
        gallery = meta['protocols'][PROTOCOL].galleries[query]
        assert found.images.tolist() == sorted(set(gallery.images.tolist()))
        searcher = PairSearcher(model, 0.05)
        image, sample = read(record.image)
        factor = torch.tensor(sample['scale_factor']).repeat(2)
        assert factor.tolist() == [0.5] * 4
        box = torch.from_numpy(record.bbox).float() * factor
        state = searcher.query(image, sample, box)
        boxes = found.boxes(len(meta['image_names']))
        for number in found.images.tolist():
            (result,) = searcher.search(
                [(state, searcher.gallery(*read(number)))]
            )
            rows = boxes.of(number)
            assert len(result.scores)
            for name, value in (
                ('bboxes', boxes.bboxes[rows]),
                ('scores', boxes.scores[rows]),
                ('similarity', boxes.embeddings[rows, 0]),
            ):
                size = PIXELS if name == 'bboxes' else 1
                np.testing.assert_allclose(
                    value,
                    getattr(result, name).numpy(),
                    rtol=0,
                    atol=size * NOISE,
                )


# --- the cascade


@pytest.fixture(scope='module')
def detection(runner):
    """Figures of a stock test, single images alone."""
    evaluator = {**runner.cfg.test_evaluator, 'protocols': []}
    loop = mmengine_runner.TestLoop(
        shell(runner, None), runner.cfg.test_dataloader, evaluator
    )
    return loop.run()


def test_a_cascade_that_leaves_nothing_out_changes_nothing(
    make, expected, detection, pairs_run
):
    found = make(cascade_topk=GALLERY).run()
    assert detection['det/boxes'] > 0
    assert_same(found, expected | detection)
    assert pairs_run == [QUERIES * GALLERY]


def test_a_cascade_runs_the_most_similar_images_alone(
    make, expected, pairs_run, monkeypatch
):
    plain, scored = [], []
    gathered = PairTestLoop._plain_features
    evaluated = PersonSearchMetric.evaluate_pairs

    def kept(self, *args):
        plain.append(gathered(self, *args))
        return plain[0]

    def noted(self, findings, *args):
        scored.append(findings)
        return evaluated(self, findings, *args)

    monkeypatch.setattr(PairTestLoop, '_plain_features', kept)
    monkeypatch.setattr(PersonSearchMetric, 'evaluate_pairs', noted)
    loop = make(cascade_topk=3)
    found = loop.run()
    assert pairs_run == [QUERIES * 3]
    assert found[f'{PROTOCOL}/queries'] == QUERIES
    assert found[f'{PROTOCOL}/gt'] == expected[f'{PROTOCOL}/gt']
    (features,), (findings,) = plain, scored
    assert isinstance(features, Features)
    meta = loop.dataset.metainfo
    wanted = images_to_search(
        {PROTOCOL: meta['protocols'][PROTOCOL]}, len(meta['image_names'])
    )
    for query, whole in findings.items():
        assert sorted(whole.images.tolist()) == wanted[query].tolist()
        best = {
            image: cosines(features, query, image).max(initial=-np.inf)
            for image in wanted[query].tolist()
        }
        top = sorted(best, key=best.get, reverse=True)[:3]
        assert sorted(top) == whole.images[:3].tolist()
        cut = whole.counts[:3].sum()
        assert whole.similarity[:cut].min() >= 0
        assert (whole.similarity[cut:] < 0).all()
        assert len(whole.similarity) > cut


def test_a_cascade_and_a_test_of_all_pairs_share_what_they_find(
    make, expected, pairs_run
):
    make(cascade_topk=3).run()
    assert pairs_run == [QUERIES * 3]
    assert_same(make().run(), expected)
    assert pairs_run == [QUERIES * GALLERY]
    make(cascade_topk=5).run()
    assert pairs_run == [QUERIES * GALLERY]


# --- what is refused


@pytest.mark.parametrize(
    'name',
    [
        *('batch_size', 'queries_at_once', 'unit_pairs'),
        *('cascade_topk', 'num_queries'),
    ],
)
def test_nothing_at_a_time_is_refused(make, name):
    with pytest.raises(ValueError, match=f'{name} must be >= 1, got 0'):
        make(**{name: 0})


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('gt_boxes', True),
        ('cbgm', dict(k1=2, k2=2)),
        ('detected_query', True),
        ('dump', 'features.npz'),
    ],
)
def test_options_that_need_embeddings_are_refused(make, option, value):
    with pytest.raises(ValueError, match=option):
        make(num_queries=1, evaluator={option: value}).run()


def test_another_metric_is_refused(runner):
    for evaluator in (
        dict(type='DumpResults', out_file_path='results.pkl'),
        [runner.cfg.test_evaluator] * 2,
    ):
        with pytest.raises(ValueError, match='and that alone'):
            PairTestLoop(
                shell(runner, None), runner.cfg.test_dataloader, evaluator
            )


def test_a_protocol_that_is_not_there_is_named(make):
    with pytest.raises(ValueError, match="no protocol 'G11'"):
        make(evaluator=dict(protocols=['G11'])).run()


# --- as a user runs it

#: Options of the loop, and whether the network is wrapped in DDP.
CASES = {
    'as it is': ({}, False),
    'wrapped cascade': (dict(cascade_topk=3), True),
}


def run_rank(rank, config, folder):
    """Figures of each case."""
    runner = runner_of(config, folder)
    bare = runner.model
    found = {}
    for case, (options, wrapped) in CASES.items():
        runner.model = MMDistributedDataParallel(bare) if wrapped else bare
        loop = make_loop(runner, Path(folder) / case, **options)
        found[case] = loop.run(), findings_in(loop)
        assert loop.model is bare
    return found


@pytest.fixture(scope='module')
def ranks(config, tmp_path_factory):
    """What each of two processes returns."""
    work = tmp_path_factory.mktemp('ranks_work')
    folder = tmp_path_factory.mktemp('ranks')
    return run_ranks(2, folder, run_rank, config, str(work))


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_two_processes_find_what_one_finds(make, ranks, expected, case):
    options, _ = CASES[case]
    loop = make(**options)
    alone = loop.run()
    for result, findings in (rank[case] for rank in ranks):
        assert result == alone
        check_same_findings(findings, findings_in(loop), noise=0)
    cascade = 'det/boxes' in alone
    assert cascade == ('cascade' in case)
    assert (alone == expected) != cascade


def test_a_config_tests_a_checkpoint_pair_by_pair(
    config, runner, expected, tmp_path
):
    checkpoint = tmp_path / 'weights.pth'
    torch.save({'state_dict': runner.model.state_dict()}, checkpoint)
    pictures = tmp_path / 'pictures'
    found = run_test(
        loaded(config, tmp_path / 'work'),
        str(checkpoint),
        show=dict(out=pictures, num_each=1),
    )
    assert_same(found, expected)
    assert len(files_of(tmp_path / 'work')) == UNITS
    # the worst and the best of the queries that were run
    drawn = sorted(file.name for file in pictures.glob('*.jpg'))
    assert [name[:4] for name in drawn] == ['0001', f'{QUERIES:04d}']
    low, high = (float(name.split('_')[1][2:]) for name in drawn)
    assert low - 0.005 <= expected[f'{PROTOCOL}/mAP'] <= high + 0.005


def test_gated_pairs_run_in_any_batch(data, tmp_path):
    runner = runner_of(configured(tmp_path, data, gated=True), tmp_path)
    one, many = (
        make_loop(
            runner, tmp_path / f'{size}', batch_size=size, num_queries=2
        ).run()
        for size in (1, 16)
    )
    assert_same(one, many)
    assert one[f'{PROTOCOL}/found'] > 0
