"""The pairwise test: helpers by hand, and whole runs on a few scenes."""

import copy
import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine import runner as mmengine_runner
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

from mmps.apis import load_config, run_test
from mmps.datasets import DatasetError
from mmps.evaluation import PairTestLoop
from mmps.evaluation.evaluate import pair_figures
from mmps.evaluation.features import Boxes, Features
from mmps.evaluation.pair_findings import (
    behind,
    collect,
    cosines,
    read_findings,
    write_findings,
)
from mmps.evaluation.pairs import PairFindings, images_to_search
from mmps.evaluation.run_pairs import pairs_in_order, run_pairs
from mmps.models.bounded_cache import BoundedCache
from mmps.models.pair_search import PairSearcher
from mmps.structures import Gallery, Protocol
from tests.datasets import layouts
from tests.datasets.synthetic.sets import make_cuhk_sysu
from tests.distillation.networks import network
from tests.ranks import run_ranks

ROOT = Path(__file__).parents[2]
NUMBER = itertools.count()  # mmengine wants a new name for each run
PARTS = ('images', 'counts', 'bboxes', 'scores', 'similarity')
BOX = [0.0, 0, 40, 80]
QUERIES = 4


# --- helpers


def test_pairs_go_image_by_image_or_query_by_query():
    images = {4: np.array([2, 7]), 1: np.array([0, 7, 9]), 3: np.array([2])}
    by_query = [(4, 2), (4, 7), (1, 0), (1, 7), (1, 9), (3, 2)]
    assert list(pairs_in_order(images, True)) == by_query
    by_image = [(1, 0), (4, 2), (3, 2), (4, 7), (1, 7), (1, 9)]
    assert list(pairs_in_order(images, False)) == by_image
    assert list(pairs_in_order({}, False)) == []


class Recorder:
    """In place of a searcher: notes what is prepared, results are pairs."""

    def __init__(self, gated):
        self.gated = gated
        self.cache = BoundedCache(1)
        self.prepared = []

    def prepare(self, kind):
        def state(number):
            self.prepared.append((kind, number))
            return SimpleNamespace(number=number, nbytes=0)

        return state

    def search(self, pairs):
        return [(query.number, image.number) for query, image in pairs]


@pytest.mark.parametrize('gated', [False, True])
def test_queries_and_images_are_prepared_once(gated):
    images = {4: np.array([2, 7, 8]), 1: np.array([2, 7]), 3: np.array([8])}
    searcher = Recorder(gated)
    counts = []
    found = run_pairs(
        searcher,
        images,
        searcher.prepare('query'),
        searcher.prepare('image'),
        2,
        counts.append,
    )
    assert found == {
        query: {image: (query, image) for image in wanted.tolist()}
        for query, wanted in images.items()
    }
    assert counts == [2, 2, 2]
    assert sorted(searcher.prepared) == sorted(
        [('query', q) for q in images] + [('image', i) for i in (2, 7, 8)]
    )


def result(numbers):
    """A detection for each number, which is all over it."""
    numbers = torch.tensor(numbers, dtype=torch.float64)
    return SimpleNamespace(
        bboxes=numbers[:, None].expand(-1, 4),
        scores=numbers / 10,
        similarity=numbers.clone().requires_grad_(),
    )


def test_results_of_a_query_are_collected_image_after_image():
    found = {3: result([3, 3.5]), 8: result([]), 5: result([5])}
    findings = collect(np.array([5, 8, 3]), found)
    assert findings.images.tolist() == [5, 8, 3]
    assert findings.counts.tolist() == [1, 0, 2]
    assert findings.bboxes.tolist() == [[5] * 4, [3] * 4, [3.5] * 4]
    np.testing.assert_allclose(findings.scores, [0.5, 0.3, 0.35])
    assert findings.similarity.tolist() == [5, 3, 3.5]
    for name in ('bboxes', 'scores', 'similarity'):
        assert getattr(findings, name).dtype == np.float32


@pytest.mark.parametrize('images', [[], [2]])
def test_nothing_found_is_collected_with_its_shape(images):
    findings = collect(np.array(images, np.int64), {2: result([])})
    assert findings.images.tolist() == images
    assert findings.counts.tolist() == [0] * len(images)
    assert findings.bboxes.shape == (0, 4)
    assert findings.scores.shape == findings.similarity.shape == (0,)
    assert findings.boxes(3).num_images == 3


def plain_features(images):
    """One query, at angle 0; images as lists of (angle, score)."""

    def unit(angles):
        rad = np.deg2rad(np.array(angles, np.float64))
        return np.stack([np.cos(rad), np.sin(rad)], 1).astype(np.float32)

    flat = [detection for image in images for detection in image]
    counts = [len(image) for image in images]
    boxes = Boxes(
        np.tile(np.array(BOX, np.float32), (len(flat), 1)),
        np.array([score for _, score in flat], np.float32),
        unit([angle for angle, _ in flat]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    )
    return SimpleNamespace(detections=boxes, query_embeddings=unit([0]))


PLAIN = [[(60, 0.9)], [], [(180, 0.9), (0, 0.6)], [(90, 0.7)]]


def run_on_first():
    """The query was run on image 0 alone, and nothing is less similar."""
    return PairFindings(
        np.array([0]),
        np.array([1]),
        np.array([BOX], np.float32),
        np.array([0.95], np.float32),
        np.array([-0.99], np.float32),
    )


def test_cosines_are_those_of_the_image():
    plain = plain_features(PLAIN)
    np.testing.assert_allclose(cosines(plain, 0, 2), [-1, 1], atol=1e-6)
    assert cosines(plain, 0, 1).shape == (0,)


def test_images_that_were_not_run_follow_in_their_plain_order():
    plain = plain_features(PLAIN)
    whole = behind(run_on_first(), 0, np.arange(4), plain)
    assert whole.images.tolist() == [0, 1, 2, 3]
    assert whole.counts.tolist() == [1, 0, 2, 1]
    assert whole.bboxes.tolist() == [BOX] * 4
    first, *rest = whole.similarity.tolist()
    assert first == np.float32(-0.99)
    assert max(rest) < -0.99
    opposite, equal, across = rest
    assert equal > across > opposite
    assert equal - across == pytest.approx(1, abs=1e-6)


def test_nothing_follows_when_all_images_were_run():
    found = run_on_first()
    whole = behind(found, 0, np.array([0]), plain_features(PLAIN))
    for part in PARTS:
        np.testing.assert_array_equal(
            getattr(whole, part), getattr(found, part)
        )


@pytest.mark.parametrize('person', [0, 2, 3])
def test_images_that_were_not_run_stay_behind_with_cws(person):
    gallery = Gallery(
        np.arange(4), np.array([person]), np.array([BOX], np.float64)
    )
    protocols = {'P': Protocol(np.array([0]), (gallery,))}
    whole = behind(run_on_first(), 0, np.arange(4), plain_features(PLAIN))
    figures = pair_figures({0: whole}, protocols, 4, cws=True)
    rank = {0: 1, 2: 2, 3: 3}[person]
    for row in ('P', 'P+cws'):
        assert figures[f'{row}/mAP'] == pytest.approx(1 / rank), row


def test_findings_are_read_as_they_were_written(tmp_path):
    empty = collect(np.array([2, 6]), {2: result([]), 6: result([])})
    findings = {11: run_on_first(), 3: empty}
    file = tmp_path / 'deep' / 'folder' / '11_2.npz'
    write_findings(file, findings)
    assert [path.name for path in file.parent.iterdir()] == ['11_2.npz']
    again = read_findings(file)
    assert again.keys() == {3, 11}
    for query, expected in findings.items():
        for part in PARTS:
            value = getattr(again[query], part)
            np.testing.assert_array_equal(value, getattr(expected, part))
            assert value.dtype == getattr(expected, part).dtype


# --- whole runs

CONFIG = """
_base_ = '{root}/configs/qeeps/qeeps_r18_tiny.py'
# as small as a network can be, on small scenes
model = dict(
    backbone=dict(base_channels=8, reduction=2, gated={gated}),
    rpn_head=dict(in_channels=32, feat_channels=16, reduction=4),
    roi_head=dict(
        bbox_roi_extractor=dict(output_size=4),
        shared_head=dict(base_channels=8),
        bbox_head=dict(in_channels=64),
        oim_head=dict(in_channels=64, feat_dim=8),
        sim_head=dict(feat_dim=8),
    ),
    test_cfg=dict(rpn=dict(max_per_img=100), rcnn=dict(score_thr=0.05)),
)
test_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='Resize', scale=(160, 120), keep_ratio=True),
    dict(type='LoadTrackAnnotations'),
    dict(type='PackPersonSearchInputs'),
]
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='{data}', pipeline=test_pipeline),
)
test_evaluator = dict(det_thr=0.05, protocols=['{protocol}'])
test_cfg = dict(
    type='PairTestLoop', num_queries={queries}, queries_at_once=2
)
train_cfg = train_dataloader = optim_wrapper = param_scheduler = None
val_cfg = val_dataloader = val_evaluator = None
"""
PROTOCOL, GALLERY = 'occlusion', 20
#: Spread of weights so that the query matters to what is found.
STRONG = {
    'rpn_cls.weight': 1.0,
    'rpn_head.gate.0.weight': 10.0,
    'rpn_head.gate.2.weight': 10.0,
    'qrpn_conv.weight': 0.3,
    'qrpn_cls.weight': 1.0,
    'sim_head.fc.weight': 10.0,
    # and boxes stay where people may be
    'rpn_reg.weight': 0.001,
    'fc_reg.weight': 0.001,
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp('pairs') / 'scenes'
    make_cuhk_sysu(out)
    return out


def configured(folder, data, gated=False):
    path = folder / f'pairs_{"gated" if gated else "plain"}.py'
    path.write_text(
        CONFIG.format(
            root=ROOT,
            data=data,
            gated=gated,
            protocol=PROTOCOL,
            queries=QUERIES,
        )
    )
    return str(path)


def loaded(config, work_dir):
    name = f'pairs{next(NUMBER)}'
    return load_config(
        config, work_dir=str(work_dir), cfg_options={'experiment_name': name}
    )


def runner_of(config, work_dir):
    cfg = loaded(config, work_dir)
    strong = network(copy.deepcopy(cfg.model), seed=0)
    torch.manual_seed(0)
    for name, parameter in strong.named_parameters():
        for end, std in STRONG.items():
            if name.endswith(end):
                nn.init.normal_(parameter, std=std)
    runner = Runner.from_cfg(cfg)
    runner.model.load_state_dict(strong.state_dict())
    return runner


@pytest.fixture(scope='module')
def config(data, tmp_path_factory):
    return configured(tmp_path_factory.mktemp('config'), data)


@pytest.fixture(scope='module')
def runner(config, tmp_path_factory):
    return runner_of(config, tmp_path_factory.mktemp('work'))


def shell(runner, work_dir, cfg=None):
    """What a loop needs of a runner; no hooks."""
    return SimpleNamespace(
        cfg=cfg or runner.cfg,
        work_dir=str(work_dir),
        call_hook=lambda *args, **kwargs: None,
        **{
            name: getattr(runner, name)
            for name in (
                *('model', 'visualizer', 'seed', '_randomness_cfg'),
                *('build_dataloader', 'build_evaluator'),
            )
        },
    )


def make_loop(
    runner, work_dir, evaluator=None, scale=None, root=None, **options
):
    """A loop with the options of the config and others."""
    cfg = copy.deepcopy(runner.cfg)
    cfg.test_evaluator.update(evaluator or {})
    if root is not None:
        cfg.test_dataloader.dataset.data_root = str(root)
    options = {'queries_at_once': 2, 'num_queries': QUERIES, **options}
    if scale is not None:
        cfg.test_dataloader.dataset.pipeline[2].scale = scale
    return PairTestLoop(
        shell(runner, work_dir, cfg),
        cfg.test_dataloader,
        cfg.test_evaluator,
        **options,
    )


@pytest.fixture
def make(runner, tmp_path):
    return partial(make_loop, runner, tmp_path)


@pytest.fixture
def pairs_run(monkeypatch):
    """Counts pairs: [number]."""
    count = [0]
    search = PairSearcher.search

    def counted(self, pairs):
        count[0] += len(pairs)
        return search(self, pairs)

    monkeypatch.setattr(PairSearcher, 'search', counted)
    return count


@pytest.fixture(scope='module')
def unbroken(runner, tmp_path_factory):
    """Result and findings of one run, in one group."""
    work = tmp_path_factory.mktemp('expected')
    return make_loop(runner, work, queries_at_once=QUERIES).run(), work


@pytest.fixture(scope='module')
def expected(unbroken):
    return unbroken[0]


@pytest.fixture
def assert_same_findings(unbroken, tmp_path):
    return partial(check_same_findings, tmp_path, unbroken[1])


def check_same_findings(work, other):
    found, whole = findings_in(work), findings_in(other)
    assert found.keys() == whole.keys()
    for query, part in itertools.product(whole, PARTS):
        np.testing.assert_allclose(
            getattr(found[query], part),
            getattr(whole[query], part),
            rtol=1e-6,
            atol=1e-6,
            err_msg=f'{query}, {part}',
        )


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        assert got[key] == pytest.approx(value, abs=1e-6), key


def findings_in(work):
    findings = {}
    for file in files_of(work):
        findings.update(read_findings(file))
    return findings


def files_of(work):
    return sorted(work.rglob('*.npz'))


def test_the_scenes_can_tell_a_good_from_a_bad_ranking(expected):
    assert expected[f'{PROTOCOL}/queries'] == QUERIES
    assert expected[f'{PROTOCOL}/found'] > QUERIES / 2
    assert 0 < expected[f'{PROTOCOL}/mAP'] < 1
    assert not any(key.startswith('det/') for key in expected)


@pytest.mark.parametrize(
    'options',
    [
        {'batch_size': 1},
        {'batch_size': 16},
        {'batch_size': 7, 'queries_at_once': 1},
        {'cache_mb': 0},
        {'queries_at_once': QUERIES + 1},
    ],
    ids=str,
)
def test_batches_groups_and_cache_do_not_change_the_result(
    make, expected, assert_same_findings, pairs_run, options
):
    assert_same(make(**options).run(), expected)
    assert_same_findings()
    assert pairs_run == [QUERIES * GALLERY]


def test_findings_are_those_of_pairs_run_one_by_one(make, tmp_path):
    loop = make(num_queries=2)
    loop.run()
    (file,) = files_of(tmp_path)
    meta = loop.dataloader.dataset.metainfo
    model, dataset = loop.model, loop.dataloader.dataset

    def read(number):
        item = dataset[number]
        data = {key: [value] for key, value in item.items()}
        data = model.data_preprocessor(data, False)
        return data['inputs'], data['data_samples'][0].metainfo

    for query, found in read_findings(file).items():
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
                np.testing.assert_allclose(
                    value, getattr(result, name).numpy(), 1e-6, 1e-6
                )


def test_a_killed_test_goes_on_with_the_groups_that_are_not_done(
    make, expected, assert_same_findings, pairs_run, monkeypatch, tmp_path
):
    counted = PairSearcher.search

    def killed(self, pairs):
        if files_of(tmp_path):
            raise KeyboardInterrupt
        return counted(self, pairs)

    with monkeypatch.context() as patch:
        patch.setattr(PairSearcher, 'search', killed)
        with pytest.raises(KeyboardInterrupt):
            make().run()
    done = 2 * GALLERY
    assert pairs_run == [done]
    (first,) = files_of(tmp_path)
    before = first.stat().st_mtime_ns
    resumed = make().run()
    assert pairs_run == [QUERIES * GALLERY]
    assert first.stat().st_mtime_ns == before
    assert_same(resumed, expected)
    assert_same_findings()
    assert len(files_of(tmp_path)) == QUERIES // 2
    assert make().run() == resumed
    assert pairs_run == [QUERIES * GALLERY]


def changed_setting(monkeypatch, model, part, name, value):
    settings = getattr(model, part).test_cfg
    monkeypatch.setitem(settings, name, value)


@pytest.mark.parametrize(
    'change',
    ['nothing', 'det_thr', 'cascade', 'rpn', 'rcnn', 'merge', 'scale'],
)
def test_another_setting_does_not_reuse_old_files(
    make, runner, pairs_run, monkeypatch, change
):
    make(num_queries=1).run()
    assert pairs_run == [GALLERY]
    options = {
        'det_thr': dict(evaluator=dict(det_thr=0.1)),
        'cascade': dict(cascade_topk=GALLERY),
        'scale': dict(scale=(128, 96)),
    }.get(change, {})
    if change == 'rpn':
        changed_setting(monkeypatch, runner.model, 'rpn_head', 'nms_pre', 99)
    if change == 'rcnn':
        nms = dict(type='nms', iou_threshold=0.3)
        changed_setting(monkeypatch, runner.model, 'roi_head', 'nms', nms)
    if change == 'merge':
        monkeypatch.setattr(runner.model.rpn_head, 'merge', 'product')
    make(num_queries=1, **options).run()
    assert pairs_run == [GALLERY * (1 if change == 'nothing' else 2)]


def test_other_weights_do_not_reuse_old_files(make, runner, pairs_run):
    make(num_queries=1).run()
    bias = runner.model.rpn_head.qrpn_cls.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias += 0.125
        make(num_queries=1).run()
        bias.copy_(before)
    assert pairs_run == [2 * GALLERY]
    make(num_queries=1).run()
    assert pairs_run == [2 * GALLERY]


def replaced_gallery(number, **changes):
    """Put another gallery in the place of one of the protocol."""

    def change(meta):
        protocol = meta['protocols'][PROTOCOL]
        galleries = list(protocol.galleries)
        galleries[number] = replace(galleries[number], **changes)
        meta['protocols'][PROTOCOL] = replace(
            protocol, galleries=tuple(galleries)
        )

    return change


def fewer_images(number):
    """Leave out an image that does not show the person."""

    def change(meta):
        gallery = meta['protocols'][PROTOCOL].galleries[number]
        others = np.setdiff1d(gallery.images, gallery.positives)
        kept = gallery.images[gallery.images != others[0]]
        assert len(kept) < len(gallery.images)
        replaced_gallery(number, images=kept)(meta)

    return change


def reversed_galleries(meta):
    for number, gallery in enumerate(meta['protocols'][PROTOCOL].galleries):
        replaced_gallery(number, images=gallery.images[::-1])(meta)


def replaced_query(number, **changes):
    def change(meta):
        queries = list(meta['queries'])
        queries[number] = replace(queries[number], **changes)
        meta['queries'] = tuple(queries)

    return change


def renamed_image(meta):
    meta['image_names'] = [f'new_{name}' for name in meta['image_names']]


def renumbered_query(meta):
    """The last query of the protocol gets another number."""
    protocol = meta['protocols'][PROTOCOL]
    numbers = protocol.queries.copy()
    numbers[-1] = len(meta['queries'])
    meta['queries'] += (meta['queries'][protocol.queries[-1]],)
    meta['protocols'][PROTOCOL] = replace(protocol, queries=numbers)


def other_queries(meta):
    """The same number of them, and the first of all is the same."""
    protocol = meta['protocols'][PROTOCOL]
    kept = [0, 2, 3, 4]
    meta['protocols'][PROTOCOL] = Protocol(
        protocol.queries[kept], tuple(protocol.galleries[i] for i in kept)
    )


@pytest.mark.parametrize(
    ('change', 'same'),
    [
        (lambda meta: None, True),
        # what a query's person is called, and where it is, is for scoring
        (replaced_query(1, identity='p99999'), True),
        (replaced_gallery(1, positives=np.zeros(0, np.int32)), True),
        (reversed_galleries, True),
        (fewer_images(0), False),
        (fewer_images(3), False),
        (replaced_query(1, bbox=np.array([1.0, 1, 30, 60])), False),
        (replaced_query(1, image=0), False),
        (renamed_image, False),
        (renumbered_query, False),
        (other_queries, False),
    ],
    ids=[
        *('nothing', 'identity', 'positives', 'order of a gallery'),
        *('first gallery', 'last gallery', 'box', 'image of a query'),
        *('image name', 'number of a query', 'queries'),
    ],
)
def test_files_belong_to_the_queries_and_images_that_were_run(
    make, change, same
):
    loop = make()
    before = loop._fingerprint()
    change(loop.dataloader.dataset._metainfo)
    assert (loop._fingerprint() == before) == same


def test_a_changed_gallery_does_not_reuse_old_files(make, pairs_run, tmp_path):
    make(num_queries=1).run()
    loop = make(num_queries=1)
    fewer_images(0)(loop.dataloader.dataset._metainfo)
    loop.run()
    assert pairs_run == [GALLERY + GALLERY - 1]
    sizes = [len(read_findings(f)[0].images) for f in files_of(tmp_path)]
    assert sorted(sizes) == [GALLERY - 1, GALLERY]


# --- the cascade


@pytest.fixture(scope='module')
def detection(runner):
    """Figures of a stock test, single images alone."""
    evaluator = {**runner.cfg.test_evaluator, 'protocols': []}
    loop = mmengine_runner.TestLoop(
        shell(runner, None), runner.cfg.test_dataloader, evaluator
    )
    return loop.run()


@pytest.mark.parametrize('topk', [GALLERY, 1000])
def test_a_cascade_that_leaves_nothing_out_changes_nothing(
    make, expected, detection, pairs_run, topk
):
    found = make(cascade_topk=topk).run()
    assert detection['det/boxes'] > 0
    assert_same(found, expected | detection)
    assert pairs_run == [QUERIES * GALLERY]


def test_a_cascade_runs_the_most_similar_images_alone(
    make, expected, pairs_run, tmp_path, monkeypatch
):
    plain = []
    gathered = PairTestLoop._plain_features

    def kept(self, protocols):
        plain.append(gathered(self, protocols))
        return plain[0]

    monkeypatch.setattr(PairTestLoop, '_plain_features', kept)
    loop = make(cascade_topk=3)
    found = loop.run()
    assert pairs_run == [QUERIES * 3]
    assert found[f'{PROTOCOL}/queries'] == QUERIES
    assert found[f'{PROTOCOL}/gt'] == expected[f'{PROTOCOL}/gt']
    (features,) = plain
    assert isinstance(features, Features)
    meta = loop.dataloader.dataset.metainfo
    wanted = images_to_search(
        {PROTOCOL: meta['protocols'][PROTOCOL]}, len(meta['image_names'])
    )
    for file in files_of(tmp_path):
        for query, whole in read_findings(file).items():
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


# --- what is refused


@pytest.mark.parametrize(
    'name', ['batch_size', 'queries_at_once', 'cascade_topk', 'num_queries']
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


# --- data that is not as it should be


@pytest.fixture
def make_on(make, tmp_path):
    """A loop on tiny data in the layout of CUHK-SYSU, changed."""

    def build(image=None, **layout):
        root = layouts.write_cuhk(tmp_path / 'cuhk', **layout)
        if image is not None:
            (root / 'Image/SSM' / image).unlink()
        return make(root=root, evaluator=dict(protocols=['G50']))

    return build


def asked_at(where):
    """The first query has another box in s4.jpg, of 300 x 40 pixels."""
    first, *others = layouts.QUERIES
    queries = [(layouts.query('s4.jpg', where, 'p7'), first[1]), *others]
    return {'TestG50': queries}


def test_data_that_is_as_it_should_be_is_searched(make_on, pairs_run):
    found = make_on().run()
    assert found['G50/queries'] == 2
    assert pairs_run == [4]


def test_a_query_is_cut_off_at_its_image(make_on):
    loop = make_on(protocols=asked_at(layouts.box(280, 5, 40, 18)))
    loop.model.eval()
    _, meta = loop._load(image_number(loop, 's4.jpg'))
    state = loop.query_state(loop.model.pair_searcher(0.5, 1), 0)
    width, height = meta.img_shape[::-1]
    assert float(state.box[0, 2]) == pytest.approx(width, abs=1e-3)
    assert 0 < state.box[0, 0] < width
    assert state.box[0, 3] < height


def image_number(loop, name):
    return loop.dataloader.dataset.metainfo['image_names'].index(name)


def test_a_part_of_the_test_set_is_refused(make_on):
    loop = make_on()
    loop.dataloader.dataset.get_subset_([1, 2])
    with pytest.raises(ValueError, match='pairs need the whole test set'):
        loop._load(0)


def test_a_query_outside_of_its_image_is_named(make_on):
    loop = make_on(protocols=asked_at(layouts.box(500, 5, 40, 18)))
    with pytest.raises(
        DatasetError,
        match=r's4\.jpg: the box \[500\.0, 5\.0, 540\.0, 23\.0\] .*of query 0 '
        r"has no area in the image of 300 x 40 pixels; .*\(p7\).*'G50'",
    ):
        loop.run()


def test_a_query_without_a_box_is_named_before_anything_runs(make_on):
    with pytest.raises(
        DatasetError, match=r'TestG50\.mat: query 0 \(p7\) has no'
    ):
        make_on(protocols=asked_at(layouts.NOBODY))


@pytest.mark.parametrize(
    ('image', 'needed'),
    [
        ('s10.jpg', r'query 0 \(p7\) and 1 more'),  # in both galleries
        ('s4.jpg', r'query 0 \(p7\) and 1 more'),  # own image and gallery
    ],
)
def test_an_image_that_is_missing_names_protocol_and_query(
    make_on, image, needed
):
    with pytest.raises(
        DatasetError,
        match=rf"{image}: no such image; needed for {needed} of .*'G50'",
    ):
        make_on(image).run()


def test_a_gallery_image_without_annotation_is_named(make_on):
    first, *others = layouts.QUERIES
    listed = layouts.gallery(('s1.jpg', layouts.NOBODY))
    with pytest.raises(
        DatasetError,
        match=r"TestG50\.mat: the gallery of query 0 lists 's1\.jpg'",
    ):
        make_on(protocols={'TestG50': [(first[0], listed), *others]})


# --- as a user runs it

#: Options of the loop, and whether the network is wrapped in DDP.
CASES = {
    'as it is': ({}, False),
    'wrapped': ({}, True),
    'cascade': (dict(cascade_topk=3), False),
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
        found[case] = loop.run()
        assert loop.model is bare
    return found


@pytest.fixture(scope='module')
def ranks(config, tmp_path_factory):
    """What each of two processes returns, and the folder of their files."""
    work = tmp_path_factory.mktemp('ranks_work')
    folder = tmp_path_factory.mktemp('ranks')
    return run_ranks(2, folder, run_rank, config, str(work)), work


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_two_processes_find_what_one_finds(
    make, ranks, expected, tmp_path, case
):
    (first, second), work = ranks
    options, _ = CASES[case]
    alone = make(**options).run()
    assert_same(first[case], alone)
    assert second[case] == first[case]
    check_same_findings(work / case, tmp_path)
    assert len(files_of(work / case)) == QUERIES // 2
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
    assert len(files_of(tmp_path / 'work' / 'pairs')) == QUERIES // 2
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
