import pytest
import torch
from mmdet.registry import MODELS

from mmps.checkpoints import CheckpointError
from mmps.checkpoints.fit import compare_keys
from mmps.published import NETWORKS, Published, convert_weights
from tests.models.build import model_config

from .files import C4, C5, D4, D5, WIDTH, weights_of
from .trained import TABLE, published

NORM = ('weight', 'bias', 'running_mean', 'running_var')
#: Theirs, ours: layers of which all is taken.
COMMON = {
    'backbone.conv1.weight': 'backbone.conv1.weight',
    'backbone.layer3.5.bn3.running_var': 'backbone.layer3.5.bn3.running_var',
    'backbone.layer1.0.downsample.1.bias': (
        'backbone.layer1.0.downsample.1.bias'
    ),
    'rpn.head.conv.0.0.weight': 'rpn_head.rpn_conv.weight',
    'rpn.head.conv.0.0.bias': 'rpn_head.rpn_conv.bias',
    'rpn.head.cls_logits.weight': 'rpn_head.rpn_cls.weight',
    'rpn.head.bbox_pred.bias': 'rpn_head.rpn_reg.bias',
}
LAYER4 = 'layer4.2.conv2.weight'
EMBEDDING = {
    **{
        f'roi_heads.embedding_head.projectors.feat_res{n}.{i}.{leaf}': (
            f'roi_head.oim_head.project_c{n}.{part}.{leaf}'
        )
        for n in (4, 5)
        for i, part, leaves in ((0, 'fc', NORM[:2]), (1, 'bn', NORM))
        for leaf in leaves
    },
    **{
        f'roi_heads.embedding_head.rescaler.{leaf}': (
            f'roi_head.oim_head.rescale.{leaf}'
        )
        for leaf in NORM
    },
}
SAME = {
    'oimnetpp': {
        **COMMON,
        f'roi_heads.reid_head.{LAYER4}': f'roi_head.shared_head.{LAYER4}',
        'roi_heads.embedding_head.projectors.feat_res5.0.weight': (
            'roi_head.oim_head.fc.weight'
        ),
        **{
            f'roi_heads.embedding_head.projectors.feat_res5.1.{leaf}': (
                f'roi_head.oim_head.norm.{leaf}'
            )
            for leaf in ('running_mean', 'running_var', 'num_batches_tracked')
        },
    },
    'seqnet': {
        **COMMON,
        **EMBEDDING,
        f'roi_heads.box_head.{LAYER4}': f'roi_head.shared_head.{LAYER4}',
        f'roi_heads.reid_head.{LAYER4}': f'roi_head.reid_stage.{LAYER4}',
    },
    'nae': {
        **COMMON,
        **EMBEDDING,
        f'roi_heads.box_head.{LAYER4}': f'roi_head.shared_head.{LAYER4}',
    },
}
#: Ours, of which only the rows of the person's box are taken -> theirs.
BOXES = {
    'oimnetpp': {'bbox_head.fc_reg': 'box_predictor.bbox_pred'},
    'seqnet': {
        'bbox_head.fc_reg': 'faster_rcnn_predictor.bbox_pred',
        'reid_bbox_head.fc_reg': 'box_predictor.bbox_pred.0',
        'reid_bbox_head.bn': 'box_predictor.bbox_pred.1',
    },
    'nae': {
        'bbox_head.fc_reg': 'box_predictor.bbox_pred.0',
        'bbox_head.bn': 'box_predictor.bbox_pred.1',
    },
}
CLASSES = {
    'oimnetpp': 'roi_heads.box_predictor.bbox_cls',
    'seqnet': 'roi_heads.faster_rcnn_predictor.cls_score',
}
DROPPED = {
    'oimnetpp': {
        'roi_heads.box_head.',
        'roi_heads.faster_rcnn_predictor.',
        'roi_heads.reid_loss.cq',
    },
    'seqnet': {'roi_heads.reid_loss.cq'},
    'nae': {
        'roi_heads.box_predictor.cls_score.',
        'roi_heads.reid_loss.cq',
    },
}
LUT = 'roi_heads.reid_loss.lut'
CONV = 'rpn.head.conv.'
of_every_network = pytest.mark.parametrize('name', NETWORKS)


def converted(weights, name):
    published = Published(weights, 'model.pth', 64 * '0')
    return convert_weights(published, NETWORKS[name])


@of_every_network
def test_layers_keep_their_values(name):
    weights = weights_of(name)
    state = converted(weights, name).state
    for theirs, ours in SAME[name].items():
        assert torch.equal(state[ours], weights[theirs]), ours


@of_every_network
def test_the_person_comes_first(name):
    """Of two classes; boxes are those of the second, as theirs are."""
    weights = weights_of(name)
    state = converted(weights, name).state
    for ours, theirs in BOXES[name].items():
        leaves = NORM if ours.endswith('bn') else NORM[:2]
        for leaf in leaves:
            value = weights[f'roi_heads.{theirs}.{leaf}']
            assert torch.equal(state[f'roi_head.{ours}.{leaf}'], value[4:])
    fc_cls = [key for key in state if 'fc_cls' in key]
    assert len(fc_cls) == (2 if name in CLASSES else 0)
    for key in fc_cls:
        leaf = key.rsplit('.', 1)[1]
        background, person = weights[f'{CLASSES[name]}.{leaf}']
        assert torch.equal(state[key], torch.stack([person, background]))


@of_every_network
def test_every_tensor_is_used_or_dropped_by_name(name):
    weights = weights_of(name)
    result = converted(weights, name)
    assert set(result.dropped) == DROPPED[name]
    assert result.used + sum(result.dropped.values()) + 1 == len(weights)
    assert result.used == len(result.state) - len(result.zeros)
    counters = [k for k in weights if k.endswith('num_batches_tracked')]
    kept = {int(v) for k, v in result.state.items() if v.dtype == torch.long}
    unused = [k for k in counters if k.startswith(tuple(DROPPED[name]))]
    assert len(kept) == len(counters) - len(unused)


@of_every_network
def test_floats_are_float32_and_the_table_is_left_aside(name):
    result = converted(weights_of(name), name)
    assert {v.dtype for v in result.state.values()} == {
        *(torch.float32, torch.int64)
    }
    assert not [key for key in result.state if 'loss_oim' in key]
    assert result.table.dtype == torch.float32
    size = D5 if name == 'oimnetpp' else D4 + D5
    assert result.table.shape == (5532, size)


@of_every_network
def test_values_of_half_precision_are_those_of_the_file(name):
    weights = weights_of(name)
    half = {k: v.half() if v.is_floating_point() else v
            for k, v in weights.items()}  # fmt: skip
    result = converted(half, name)
    assert torch.equal(result.table, half[LUT].float())
    key = 'backbone.conv1.weight'
    assert torch.equal(result.state[key], half[key].float())


def test_oimnetpp_gets_a_bias_of_zeros():
    result = converted(weights_of('oimnetpp'), 'oimnetpp')
    assert result.zeros == ('roi_head.oim_head.fc.bias',)
    assert torch.equal(result.state[result.zeros[0]], torch.zeros(D5))


@pytest.mark.parametrize('name', ['seqnet', 'nae'])
def test_a_network_that_was_published_comes_back(name):
    state = converted(weights_of(name, rows=9), name).state
    table = torch.randn(9, D4 + D5)
    theirs = published(name, {**state, TABLE: table})
    assert theirs.keys() == weights_of(name, respelt=False).keys()
    result = converted(theirs, name)
    assert torch.equal(result.table, table)
    assert result.state.keys() == state.keys()
    for key, value in result.state.items():
        assert torch.equal(value, state[key]), key


def test_oimnetpp_is_the_oim_network_with_other_options():
    """Every key and shape of a network that mmps builds, and no other."""
    cfg = model_config('oim/oim_r50')
    cfg.backbone.update(base_channels=WIDTH, init_cfg=None)
    cfg.rpn_head.update(in_channels=C4, feat_channels=C4)
    cfg.rpn_head.anchor_generator.scales = [0.5, 1, 2]
    cfg.roi_head.shared_head.update(base_channels=WIDTH, init_cfg=None)
    cfg.roi_head.bbox_head.in_channels = C5
    cfg.roi_head.oim_head.update(
        in_channels=C5,
        feat_dim=D5,
        norm_cfg=dict(type='BN1d', affine=False),
    )
    model = MODELS.build(cfg)
    state = converted(weights_of('oimnetpp'), 'oimnetpp').state
    report = compare_keys(model, state)
    assert report.fits, report.table()
    assert not report.counters
    assert set(report.left_out) == {
        key for key in model.state_dict() if 'loss_oim' in key
    }


@of_every_network
def test_both_spellings_of_the_rpn_are_read(name):
    old = weights_of(name, respelt=False)
    new = {
        key.replace(CONV, f'{CONV}0.0.'): value for key, value in old.items()
    }
    assert f'{CONV}0.0.bias' in weights_of(name, respelt=True)
    states = [converted(weights, name).state for weights in (old, new)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())


def test_a_layer_in_both_spellings_is_refused():
    weights = weights_of('nae')
    weights[f'{CONV}bias'] = weights[f'{CONV}0.0.bias']
    with pytest.raises(CheckpointError, match=r'has rpn\.head\.conv\.bias in'):
        converted(weights, 'nae')


@of_every_network
def test_counters_may_be_missing(name):
    weights = {
        key: value
        for key, value in weights_of(name).items()
        if not key.endswith('num_batches_tracked')
    }
    result = converted(weights, name)
    assert {v.dtype for v in result.state.values()} == {torch.float32}


@of_every_network
def test_any_other_key_is_refused(name):
    weights = weights_of(name)
    for number in range(7):
        weights[f'roi_heads.extra.{number}'] = torch.ones(1)
    match = (
        rf'model.pth: 7 keys are not of {NETWORKS[name].title}: '
        'roi_heads.extra.0, .*extra.4 and 2 more. Check --from'
    )
    with pytest.raises(CheckpointError, match=match.replace('++', r'\+\+')):
        converted(weights, name)


@pytest.mark.parametrize('end', ['2', '.0'])
def test_what_is_dropped_is_dropped_by_its_whole_name(end):
    weights = weights_of('nae')
    key = f'roi_heads.reid_loss.cq{end}'
    weights[key] = torch.ones(1)
    with pytest.raises(CheckpointError, match=f'1 keys .* of NAE: {key}'):
        converted(weights, 'nae')


def test_no_network_is_taken_for_another():
    for name in NETWORKS:
        for other in NETWORKS.keys() - {name}:
            with pytest.raises(CheckpointError, match='keys'):
                converted(weights_of(name), other)


@of_every_network
@pytest.mark.parametrize(
    'key', [LUT, 'backbone.layer2.3.bn1.running_mean', 'rpn.head.cls_logits.']
)
def test_a_missing_key_is_named(name, key):
    weights = {
        k: v for k, v in weights_of(name).items() if not k.startswith(key)
    }
    with pytest.raises(CheckpointError, match=rf'missing: {key}.* is whole'):
        converted(weights, name)


@pytest.mark.parametrize(
    ('key', 'shape', 'told'),
    [
        ('backbone.layer2.0.conv2.weight', (4, 4, 1, 1), '4 x 4 x 3 x 3'),
        ('backbone.conv1.weight', (2, 3, 7), 'W x 3 x 7 x 7'),
        ('backbone.conv1.weight', (0, 3, 7, 7), '0 x 3 x 7 x 7'),
        ('backbone.conv1.weight', (3, 3, 7, 7), ''),
        ('rpn.head.bbox_pred.weight', (4, 32, 1, 1), '60 x 32 x 1 x 1'),
        ('roi_heads.box_predictor.bbox_pred.0.weight', (4, 64), '8 x 64'),
        ('roi_heads.box_predictor.bbox_pred.1.running_var', (4,), '8'),
        ('roi_heads.embedding_head.rescaler.weight', (2,), '1'),
        (LUT, (5532, 5), '5532 x 8'),
        (LUT, (8,), 'P x D4+D5'),
    ],
)
def test_a_shape_that_does_not_fit_the_others_is_named(key, shape, told):
    weights = weights_of('seqnet')
    weights[key] = torch.zeros(shape)
    with pytest.raises(CheckpointError) as refused:
        converted(weights, 'seqnet')
    if told:
        assert f'{key} has the shape ' in str(refused.value)
        assert f'expected {told}. ' in str(refused.value)


@pytest.mark.parametrize(
    ('key', 'dtype'),
    [
        ('rpn.head.cls_logits.bias', torch.int64),
        ('backbone.bn1.num_batches_tracked', torch.float32),
    ],
)
def test_a_tensor_of_another_kind_is_refused(key, dtype):
    weights = weights_of('nae')
    weights[key] = weights[key].to(dtype)
    with pytest.raises(CheckpointError, match=f'{key} is {dtype}'):
        converted(weights, 'nae')


def test_what_is_written_shares_no_memory_with_the_file():
    weights = {k: v.clone() for k, v in weights_of('nae').items()}
    result = converted(weights, 'nae')
    before = {k: v.clone() for k, v in result.state.items()}
    for value in weights.values():
        value.zero_()
    assert all(torch.equal(v, before[k]) for k, v in result.state.items())
