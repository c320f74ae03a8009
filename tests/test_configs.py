"""Every config that we ship, taken at its word."""

import functools
import json
import re
from collections import Counter
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config

from mmps.checkpoints.fit import check_state_dict
from mmps.distillation import read_table
from mmps.distillation.teacher import check_pair
from mmps.zoo import load_index
from tests.models.build import batch, scene
from tests.models.torchvision_names import torchvision_state
from tests.quick_runs import laid_out
from tests.synthetic.sets import make_prw

ROOT = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(p for p in ROOT.rglob('*.py') if '_base_' not in p.parts)
NAME = re.compile(
    r'(?P<method>det|oim|qeeps|nae|seqnet|oimnetpp|light)_'
    r'(r(?P<depth>18|50)|mnv2)'
    r'(_(?P<detector>seqnet)?det(?P<det>50))?'
    r'(_(?P<table>oim18|oim50|qeeps50|seqnet50))?(_w(?P<weight>0\.\d))?'
    r'(_bn)?'
    r'(?P<data>|_prw|_900|_synth|_others|_tiny|_quick|_crowded)(_3x)?'
)
#: distilled rows of Tables 1, 2 and 3 of Munjal et al., 2019
DISTILLED = {
    *('oim_r50_det50', 'oim_r50_det50_w0.3', 'oim_r50_oim50'),
    *('oim_r50_det50_oim50', 'oim_r50_oim18'),
    *('oim_r18_det50', 'oim_r18_det50_w0.6', 'oim_r18_oim50'),
    *('oim_r18_det50_oim50', 'oim_r18_oim18'),
    *('oim_r50_qeeps50', 'qeeps_r50_oim50', 'qeeps_r50_qeeps50'),
    *('oim_r18_qeeps50', 'qeeps_r18_oim50', 'qeeps_r18_qeeps50'),
}
#: labelled training identities, size of the queue, network input
DATA = {
    '': (5532, 5000, (1000, 600)),
    '_prw': (483, 500, (1500, 900)),
    '_900': (5532, 5000, (1500, 900)),
    '_synth': (150, 500, (320, 240)),
    '_others': (150, 500, (320, 240)),
    '_crowded': (100, 500, (320, 240)),
    '_tiny': (80, 500, (320, 240)),
    '_quick': (80, 500, (320, 240)),
}
#: trained at 900 pixels on CUHK-SYSU, as their students of KD_det are
LARGE = ('nae', 'seqnet', 'oimnetpp')
#: what a query-guided network is tested on; None is every protocol
SEARCHED = {
    '': ['G100'],
    '_prw': ['mini'],
    **dict.fromkeys(('_synth', '_crowded', '_tiny')),
}
#: what the name of a teacher ends in, that was trained longer than a student
LONGER = {'_crowded': '_3x'}
#: what a network does not look different for: other data, other losses
TRAINING = re.compile(r'"(num_ids|queue_size|loss_weight)": [\d.]+')
#: its weights that the network it starts from does not have
GUIDED = (
    *('backbone.gates.', 'rpn_head.gate.', 'rpn_head.qrpn_'),
    'roi_head.sim_head.',
)


@functools.cache
def load(path):
    """A config, to be read: whoever changes it takes a ``copy``."""
    return Config.fromfile(path, import_custom_modules=False)


def copy(path):
    return deepcopy(load(path))


def outline(cfg):
    """A network of the shapes that a config gives, without any values."""
    with torch.device('meta'):
        return MODELS.build(deepcopy(cfg))


def training_set(cfg):
    """Config of the images, also where they are seen in pairs."""
    dataset = cfg.train_dataloader.dataset
    return dataset.dataset if 'dataset' in dataset else dataset


def is_guided(path):
    return path.stem.startswith('qeeps')


def trained(name):
    """Config by its name, and the checkpoint with which its training ends."""
    (path,) = (p for p in CONFIGS if p.stem == name)
    cfg = load(path)
    last = f'epoch_{cfg.train_cfg.max_epochs}.pth'
    return cfg, f'work_dirs/{name}/{last}'


def start_of(path):
    """The network that training starts from, as ``trained`` gives it."""
    name = NAME.fullmatch(path.stem)
    weight = '_w0.3' if name['data'] == '_tiny' else ''
    if name['table']:  # one that has learnt against the same table
        weight = f'_{name["table"]}'
    data = name['data'] + LONGER.get(name['data'], '')
    return trained(f'oim_r{name["depth"]}{weight}{data}')


@pytest.fixture(params=CONFIGS, ids=lambda p: p.stem)
def path(request):
    return request.param


@pytest.fixture(
    params=[p for p in CONFIGS if is_guided(p)], ids=lambda p: p.stem
)
def guided_path(request):
    return request.param


def test_there_is_a_config_for_every_weight_of_the_paper():
    names = {p.stem for p in CONFIGS}
    for depth in (18, 50):
        for data in ('', '_prw', '_synth'):
            assert f'det_r{depth}{data}' in names
            for weight in ('', '_w0.6', '_w0.3', '_w0.1'):
                assert f'oim_r{depth}{weight}{data}' in names
            assert f'qeeps_r{depth}{data}' in names


def test_there_is_a_config_for_every_distilled_row_of_the_paper():
    names = {p.stem for p in CONFIGS if p.parent.name == 'kd'}
    for data in ('', '_prw', '_synth'):
        assert {f'{row}{data}' for row in DISTILLED} <= names


def test_a_config_is_what_its_name_says(path):
    name, cfg = NAME.fullmatch(path.stem), load(path)
    assert name is not None
    distilled = name['det'] or name['table']
    assert path.parent.name == ('kd' if distilled else name['method'])
    if name['depth']:
        assert cfg.model.backbone.depth == int(name['depth'])
    else:
        assert cfg.model.backbone.type == 'MobileNetV2C4'
    num_ids, queue_size, scale = DATA[name['data']]
    resize = next(t for t in training_set(cfg).pipeline if t.type == 'Resize')
    large = name['method'] in LARGE or name['detector'] in LARGE
    assert resize.scale == (
        DATA['_900'][2] if large and not name['data'] else scale
    )
    light = cfg.model.roi_head.shared_head.type == 'TwoFCHead'
    assert light == (name['method'] == 'light')
    if name['method'] == 'det':
        assert 'oim_head' not in cfg.model.roi_head
        assert cfg.test_evaluator.protocols == []
        return
    loss = cfg.model.roi_head.oim_head.loss_oim
    assert (loss.num_ids, loss.queue_size) == (num_ids, queue_size)
    # a frozen table is learnt from at a tenth of the weight
    own = 0.1 if name['table'] else 1.0
    own = 0.3 if name['data'] == '_quick' else own
    assert loss.loss_weight == float(name['weight'] or own)
    searched = SEARCHED[name['data']] if name['method'] == 'qeeps' else None
    assert cfg.test_evaluator.get('protocols') == searched
    # on single images all protocols cost one pass
    assert 'protocols' not in cfg.val_evaluator


def test_a_distilled_student_has_the_teachers_of_its_name(path):
    name, cfg = NAME.fullmatch(path.stem), load(path)
    distiller = cfg.model.get('distiller')
    hooks = [h.type for h in cfg.get('custom_hooks', [])]
    assert (distiller is not None) == bool(name['det'])
    assert hooks == (['FrozenLUTHook'] if name['table'] else [])
    data = name['data']
    longer = LONGER.get(data, '')
    if name['det']:
        network = name['detector'] or 'det'
        teacher = f'{network}_r{name["det"]}{data}{longer}'
        assert distiller.teacher == f'configs/{network}/{teacher}.py'
        _, checkpoint = trained(teacher)
        if load_index().find(teacher).weights:
            checkpoint = f'zoo://{teacher}'
        assert distiller.checkpoint == checkpoint
    if name['table'] and data != '_quick':
        method, depth = re.fullmatch(r'(\D+)(\d+)', name['table']).groups()
        name = f'{method}_r{depth}{data}{longer}'
        teacher, checkpoint = trained(name)
        assert teacher.model.backbone.depth == int(depth)
        if load_index().find(name).table:
            checkpoint = f'zoo://{name}'
        assert cfg.custom_hooks[0].teacher == checkpoint
        oim = (c.model.roi_head.oim_head for c in (cfg, teacher))
        student, teacher = ((o.feat_dim, o.loss_oim.num_ids) for o in oim)
        assert student == teacher


def test_a_query_guided_network_is_trained_and_tested_on_pairs(path):
    guided, cfg = is_guided(path), load(path)
    assert (cfg.model.type == 'QEEPS') == guided
    in_pairs = cfg.train_dataloader.dataset.type == 'QueryGalleryPairs'
    assert in_pairs == guided
    collate = cfg.train_dataloader.get('collate_fn')
    assert (collate == dict(type='collate_pairs')) == guided
    assert (cfg.test_cfg.type == 'PairTestLoop') == guided
    assert cfg.val_cfg.type == 'ValLoop'
    # the quick start has a head start as well
    started = guided or path.stem.endswith('_quick')
    assert (cfg.load_from is not None) == started
    assert bool(cfg.default_hooks.strict_load.get('allow')) == started
    if guided:  # all pairs of an identity in PRW are far too many
        capped = '_prw' in path.stem
        rule = cfg.train_dataloader.dataset.get('rule', 'all')
        assert rule == ('capped' if capped else 'all')


def test_a_query_guided_network_starts_from_one_that_fits(guided_path):
    cfg = load(guided_path)
    start, checkpoint = start_of(guided_path)
    assert cfg.load_from == checkpoint
    assert training_set(cfg).data_root == training_set(start).data_root
    allow = cfg.default_hooks.strict_load.allow
    assert sorted(allow) == sorted(GUIDED)
    model, plain = cfg.model, start.model
    assert model.backbone.depth == plain.backbone.depth
    for half, same in (
        (model.backbone, plain.backbone),
        (model.roi_head.shared_head, plain.roi_head.shared_head),
    ):
        for key in ('norm_cfg', 'norm_eval'):
            assert half[key] == same[key]
    state = outline(plain).state_dict()
    report = check_state_dict(
        outline(model), state, cfg.load_from, allow=allow
    )
    for prefix in GUIDED:
        assert any(key.startswith(prefix) for key in report.missing)
    assert not report.unexpected
    assert not report.differing
    assert len(report.matched) == len(state)


def test_training_stops_and_resumes_anywhere(path):
    cfg = load(path)
    assert cfg.train_cfg.type == 'ResumableTrainLoop'
    assert cfg.default_hooks.checkpoint.type == 'SafeCheckpointHook'
    assert cfg.default_hooks.stateless_seed.type == 'StatelessSeedHook'


def test_the_learning_rate_is_for_the_batches_of_the_config(path):
    cfg = load(path)
    batch_size = cfg.train_dataloader.batch_size
    assert cfg.auto_scale_lr.base_batch_size == batch_size


def test_pairs_of_prw_are_capped_and_searched_in_prw_mini(tmp_path):
    make_prw(tmp_path / 'scenes')
    cfg = copy(ROOT / 'qeeps' / 'qeeps_r18_prw.py')
    train, test = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
    train.dataset.data_root = test.data_root = str(tmp_path / 'scenes')
    pairs = DATASETS.build(train)
    of_query = Counter((q, person) for q, _, person in pairs.pairs_of_epoch())
    assert max(of_query.values()) == 3
    for item in pairs[0]:
        assert item['inputs'].shape[1:] == (900, 1200)
    protocols = DATASETS.build(test).metainfo['protocols']
    assert [*cfg.test_evaluator.protocols] == ['mini']
    assert len(protocols['mini'].queries) == 5


@pytest.mark.parametrize('data', ['', '_prw', '_synth'])
@pytest.mark.parametrize(
    ('student', 'teacher'),
    [
        ('oim_r18_det50', 'det/det_r50'),
        ('oim_r18_seqnetdet50', 'seqnet/seqnet_r50'),
        ('seqnet_r18_seqnetdet50', 'seqnet/seqnet_r50'),
    ],
)
def test_a_teacher_fits_a_student_of_another_depth(
    student, teacher, data, undrawn
):
    student = load(ROOT / 'kd' / f'{student}{data}.py').model
    teacher = load(ROOT / f'{teacher}{data}.py').model
    check_pair(MODELS.build(student), MODELS.build(teacher))


def test_the_table_of_the_quick_start_is_whole():
    cfg = load(ROOT / 'kd' / 'oim_r18_oim50_quick.py')
    path = ROOT.parent / cfg.custom_hooks[0].teacher
    table = read_table(path)
    loss = cfg.model.roi_head.oim_head.loss_oim
    assert table.rows.shape == (loss.num_ids, 256)
    assert len(table.names) == loss.num_ids
    assert path.stat().st_size < 50_000


def test_a_config_is_one_sentence(path):
    lines = [
        line
        for line in path.read_text().splitlines()
        if line and not line.startswith('#')
    ]
    assert len(lines) <= 15


def test_the_text_of_a_log_is_the_config():
    """As runs write it, and these tests do not: see ``quick_runs.py``."""
    cfg = load(ROOT / 'oim' / 'oim_r18_tiny.py')
    text, changed = laid_out(cfg.pretty_text, style_config='pep8')
    assert changed
    assert Config.fromstring(text, '.py').to_dict() == cfg.to_dict()


def test_both_halves_of_the_network_come_from_one_checkpoint(path):
    cfg = load(path)
    model = cfg.model
    half = model.roi_head.shared_head
    if half.type == 'TwoFCHead':
        check_light(model)
        return
    assert model.backbone.init_cfg == half.init_cfg
    assert model.backbone.depth == half.depth
    if path.stem.endswith('_bn'):
        assert model.backbone.norm_eval
        assert not half.norm_eval
        assert half.norm_cfg.requires_grad
        assert model.roi_head.oim_head.norm_cfg.type == 'BN1d'
    else:
        assert model.backbone.norm_eval == half.norm_eval
        assert model.backbone.norm_cfg == half.norm_cfg
    if half.init_cfg is None and cfg.load_from is not None:
        return  # every weight of it is read
    if half.init_cfg is None:  # from scratch: every BatchNorm trains
        assert not model.backbone.norm_eval
        assert model.backbone.norm_cfg.requires_grad
        assert model.backbone.frozen_stages == -1
    else:
        depth = model.backbone.depth
        assert half.init_cfg.checkpoint == f'torchvision://resnet{depth}'


def check_light(model):
    """A new head on a backbone of ImageNet, or all of it from scratch."""
    backbone, head = model.backbone, model.roi_head
    thin, layers = head.bbox_roi_extractor, head.shared_head
    assert 'init_cfg' not in layers
    scratch = backbone.get('init_cfg') is None
    for new in (thin, layers):
        assert ('norm_cfg' in new) == scratch
    if scratch:
        assert not backbone.norm_eval
        assert backbone.norm_cfg.requires_grad
        assert backbone.get('frozen_stages', -1) == -1
    else:
        name = backbone.init_cfg.type.removeprefix('Pretrained')
        assert backbone.type.startswith(name)
        assert backbone.norm_eval
        assert not backbone.norm_cfg.requires_grad
    # the map is that of the RPN, and each part takes what the one before has
    assert thin.in_channels == model.rpn_head.in_channels
    assert layers.in_channels == thin.out_channels
    assert layers.roi_feat_size == thin.output_size
    for branch in (head.bbox_head, head.oim_head):
        assert branch.in_channels == layers.out_channels


def test_training_and_testing_see_the_same_data_set(path):
    cfg = load(path)
    train, test = training_set(cfg), cfg.test_dataloader.dataset
    assert (train.type, train.data_root) == (test.type, test.data_root)
    assert (train.split, test.split) == ('train', 'test')
    assert not Path(train.data_root).is_absolute()
    assert cfg.val_dataloader == cfg.test_dataloader
    val, test_of = dict(cfg.val_evaluator), dict(cfg.test_evaluator)
    if is_guided(path):  # pairs are run on some protocols alone
        test_of.pop('protocols', None)
    assert val == test_of
    kinds = [t.type for t in test.pipeline]
    # annotations and queries stay in original pixels
    assert kinds.index('LoadTrackAnnotations') > kinds.index('Resize')
    assert 'RandomFlip' not in kinds


@pytest.fixture
def undrawn(monkeypatch):
    """Weights are not drawn: that takes most of the time of a network."""
    monkeypatch.setattr(
        torch.nn.init, 'kaiming_uniform_', lambda t, **_: t.data.fill_(1e-3)
    )


@pytest.fixture(scope='module')
def predicted():
    """Networks that have predicted, as text."""
    return set()


def test_every_model_builds_and_predicts(path, predicted, undrawn):
    cfg = copy(path).model
    text = TRAINING.sub('', json.dumps(cfg.to_dict(), sort_keys=True))
    if path.parent.name == 'kd' or text in predicted:
        # predicts as the config that it starts from, or another one
        distiller = outline(cfg).distiller
        assert (distiller is not None) == ('det50' in path.stem)
        return
    predicted.add(text)
    cfg.test_cfg.rpn.max_per_img = 4  # conv5 on 300 RoIs takes its time
    model = MODELS.build(cfg)
    model.eval()
    with torch.no_grad():
        (sample,) = model.predict(
            *batch(model, scene([[10, 10, 40, 90]]), training=False)
        )
    assert sample.pred_instances.bboxes.shape[1] == 4
    if 'oim_head' in cfg.roi_head:
        assert sample.gt_instances.embeddings.shape == (1, 256)


@pytest.mark.parametrize('backbone', ['r18', 'mnv2'])
def test_a_light_student_learns_in_every_part(backbone):
    cfg = copy(ROOT / 'light' / f'light_{backbone}_synth.py').model
    torch.manual_seed(0)
    model = MODELS.build(cfg).train()
    model.init_weights()
    boxes = [[10, 10, 40, 90], [60, 20, 90, 120]]
    scenes = [
        scene(boxes, ids, shape=(128, 160), seed=seed)
        for seed, ids in enumerate([[17, 3], [3, -1]])
    ]
    loss_oim = model.roi_head.oim_head.loss_oim
    rows = torch.nn.functional.normalize(torch.randn(150, 256), dim=1)
    loss_oim.freeze(rows)
    seen = []  # blocks start as the identity: two steps reach all of them
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        losses = model.loss(*batch(model, *scenes, training=True))
        loss, _ = model.parse_losses(losses)
        loss.backward()
        assert loss.isfinite()
        seen.append({n for n, p in model.named_parameters() if p.grad.any()})
        optimizer.step()
    assert torch.equal(loss_oim.table, rows)
    never = {n for n, _ in model.named_parameters()} - seen[0] - seen[1]
    # a BatchNorm takes off the bias of the linear layer before it
    assert never <= {'roi_head.oim_head.fc.bias'}


@pytest.mark.slow
@pytest.mark.parametrize(
    'depth', [18, pytest.param(50, marks=pytest.mark.long)]
)
def test_a_step_from_torchvision_weights(depth, tmp_path):
    state = torchvision_state(depth)
    torch.save(state, tmp_path / 'resnet.pth')
    cfg = copy(ROOT / 'oim' / f'oim_r{depth}.py').model
    # conv5 on 128 RoIs takes its time; everybody is among these
    cfg.train_cfg.rpn_proposal.max_per_img = 4
    cfg.test_cfg.rpn.max_per_img = 4
    for half in (cfg.backbone, cfg.roi_head.shared_head):
        half.init_cfg.checkpoint = str(tmp_path / 'resnet.pth')
    model = MODELS.build(cfg)
    model.init_weights()
    loaded = {**model.backbone.state_dict()}
    loaded.update(model.roi_head.shared_head.state_dict())
    assert set(loaded) == {k for k in state if not k.startswith('fc.')}
    for key, value in loaded.items():
        assert torch.equal(value, state[key]), key

    people = [[25, 12, 65, 110], [120, 25, 160, 130], [165, 5, 199, 90]]
    scenes = [
        scene(people, [5531, 17, -1], shape=(150, 200)),
        scene(people[:1], [17], shape=(150, 250), seed=1),
    ]
    model.train()
    losses = model.loss(*batch(model, *scenes, training=True))
    loss = sum(
        value if torch.is_tensor(value) else sum(value)
        for key, value in losses.items()
        if 'loss' in key
    )
    loss.backward()
    assert loss.isfinite()
    # the first loss of an empty table is ln(P + Q)
    assert float(losses['loss_oim'].detach()) == pytest.approx(
        9.2617, abs=1e-3
    )
    table = model.roi_head.oim_head.loss_oim.table
    assert table.any(dim=1).nonzero().flatten().tolist() == [17, 5531]
    # conv1 and conv2 are frozen, as is every BatchNorm
    assert model.backbone.layer1[0].conv1.weight.grad is None
    assert model.backbone.layer2[0].conv1.weight.grad is not None
    assert model.backbone.layer3[0].bn1.weight.grad is None

    model.eval()
    with torch.no_grad():
        results = model.predict(*batch(model, *scenes, training=False))
    assert [len(r.gt_instances.embeddings) for r in results] == [3, 1]


@pytest.mark.parametrize('depth', [18, 50])
def test_a_step_on_pairs_at_full_width(depth):
    cfg = copy(ROOT / 'qeeps' / f'qeeps_r{depth}.py').model
    cfg.train_cfg.rcnn.sampler.num = 8  # conv5 on 128 RoIs takes its time
    cfg.backbone.zero_init_residual = False  # nothing would pass the gates
    model = MODELS.build(cfg)
    model.init_weights()  # reads no file
    model.train()
    boxes = [[10, 10, 60, 110], [70, 20, 110, 120]]
    scenes = [
        scene(boxes, ids, shape=(128, 160), seed=seed)
        for seed, ids in enumerate([[17, -1], [5531, -1], [17, 3], [-1, 5531]])
    ]
    for (_, sample), identity in zip(scenes, [17, 5531] * 2, strict=True):
        sample.set_metainfo(dict(pair_identity=identity))
    losses = model.loss(*batch(model, *scenes, training=True))
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert loss.isfinite()
    # the first loss of an empty table is ln(P + Q)
    for key in ('loss_oim', 'loss_oim_query'):
        first = float(losses[key].detach())
        assert first == pytest.approx(9.2617, abs=1e-3)
    # conv2 is frozen, its gates are not
    assert model.backbone.layer1[0].conv1.weight.grad is None
    # (the second layers: the first ones wait for these to leave zero)
    for part in (
        *(gate.fc2 for gate in model.backbone.gates),
        *(model.rpn_head.gate.fc2, model.rpn_head.qrpn_cls),
        *(model.roi_head.sim_head.fc, model.roi_head.oim_head.fc),
    ):
        assert part.weight.grad.any()
