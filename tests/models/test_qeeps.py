import copy
from unittest import mock

import pytest
import torch
from mmdet.structures.bbox import bbox2roi
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmps.models import OIMLoss
from mmps.structures import UNLABELED
from tests.distillation.networks import (
    SMALL,
    SMALL_OIM,
    network,
    network_config,
)
from tests.models.build import batch, model_config, scene
from tests.ranks import run_ranks

KEYS = {
    'loss_rpn_cls',
    'loss_rpn_bbox',
    'loss_qrpn_cls',
    'loss_cls',
    'loss_bbox',
    'loss_oim',
    'loss_oim_query',
    'loss_sim',
    'acc',
    'gate_spread',
    'qrpn_order',
    'qsim_order',
}
#: without any guided part
BASE = {
    *('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'acc'),
    *('loss_oim', 'loss_oim_query'),
}
BOXES = [[10.0, 10, 40, 70], [50.0, 5, 90, 79], [70.0, 20, 100, 75]]
ROIS = 16  # of each gallery image


def qeeps_config(without=(), **changes):
    """QEEPS18 with very few channels; ``changes`` has dotted keys."""
    model = model_config('qeeps/qeeps_r18_tiny')
    options = {
        **SMALL,
        **SMALL_OIM,
        'backbone.reduction': 2,
        'rpn_head.in_channels': 32,
        'rpn_head.reduction': 4,
        'roi_head.bbox_head.in_channels': 64,
        'roi_head.oim_head.in_channels': 64,
        'roi_head.sim_head.feat_dim': 8,
        'backbone.gated': 'gates' not in without,
        'rpn_head.query_guided': 'qrpn' not in without,
        **changes,
    }
    cfg = Config(dict(model=model))
    cfg.merge_from_dict({f'model.{k}': v for k, v in options.items()})
    if 'sim' in without:
        cfg.model.roi_head.pop('sim_head')
    return cfg.model


def make(without=(), **changes):
    return network(qeeps_config(without, **changes), seed=0).train()


def pairs(model, queries=([1, UNLABELED], [0, 2, 2])):
    """Two pairs, of identities 1 and 2, images of different sizes."""
    people = [*queries, [1, 2], [0, UNLABELED, 2]]
    shapes = [(96, 128), (80, 112), (80, 128), (96, 101)]
    scenes = [
        scene(BOXES[: len(ids)], ids, shape=shape, seed=seed)
        for seed, (ids, shape) in enumerate(zip(people, shapes, strict=True))
    ]
    for (_, sample), identity in zip(scenes, [1, 2, 1, 2], strict=True):
        sample.set_metainfo(dict(pair_identity=identity))
    return batch(model, *scenes, training=True)


def spied(model, inputs, samples):
    """Losses of a step, and what the OIM loss and QSimNet were given."""
    head = model.roi_head
    oim = head.oim_head.loss_oim
    with (
        mock.patch.object(oim, 'compare', wraps=oim.compare) as compare,
        mock.patch.object(oim, 'remember', wraps=oim.remember) as remember,
        mock.patch.object(
            head.sim_head, 'loss', wraps=head.sim_head.loss
        ) as similar,
    ):
        losses = model.loss(inputs, samples)
    gallery, query = (call.args for call in compare.call_args_list)
    return losses, dict(
        gallery=gallery,
        query=query,
        remembered=[call.args for call in remember.call_args_list],
        similar=similar.call_args.args,
    )


# --- a training step


def test_a_step_has_a_finite_loss_for_each_term_and_reaches_every_weight():
    model = make()
    losses = model.loss(*pairs(model))
    assert losses.keys() == KEYS
    for key, value in losses.items():
        assert value.isfinite().all(), key
        assert value > 0, key
    total, _ = model.parse_losses(losses)
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for part in (
        'backbone.conv1.weight',
        'backbone.gates.0.fc1.weight',
        'backbone.gates.5.fc2.weight',
        'rpn_head.rpn_cls.weight',
        'rpn_head.gate.fc1.weight',
        'rpn_head.qrpn_cls.weight',
        'roi_head.shared_head.layer4.0.conv1.weight',
        'roi_head.oim_head.fc.weight',
        'roi_head.sim_head.fc.weight',
    ):
        assert model.get_parameter(part).grad.any(), part


@pytest.mark.parametrize('training', [True, False])
def test_both_oim_losses_see_the_table_before_the_batch(training):
    model = make()
    model.roi_head.train(training)
    oim = model.roi_head.oim_head.loss_oim
    oim.queue.copy_(torch.eye(7, 8))
    by_hand = OIMLoss(num_ids=3, feat_dim=8, queue_size=7)
    by_hand.load_state_dict(copy.deepcopy(oim.state_dict()))
    before = oim.table.clone()
    inputs, samples = pairs(model)
    losses, seen = spied(model, inputs, samples)
    (x_g, ids_g), (x_q, ids_q) = seen['gallery'], seen['query']
    assert len(ids_g) == 2 * ROIS
    assert {1, 2, UNLABELED} <= set(ids_g.tolist())
    assert ids_q.tolist() == [1, 2]
    assert torch.equal(losses['loss_oim'], by_hand.compare(x_g, ids_g))
    assert torch.equal(losses['loss_oim_query'], by_hand.compare(x_q, ids_q))
    if training:
        by_hand.remember(torch.cat([x_g, x_q]), torch.cat([ids_g, ids_q]))
    assert torch.equal(oim.table, by_hand.table)
    assert torch.equal(oim.queue, by_hand.queue)
    assert oim.queue_head == by_hand.queue_head
    assert torch.equal(oim.table, before) is not training
    assert len(seen['remembered']) == 2 * training


def learn_pairs(rank, world_size):
    """A step on this process's pairs; what the table has learned."""
    cfg = qeeps_config()
    cfg.backbone.norm_eval = cfg.roi_head.shared_head.norm_eval = True
    cfg.roi_head.oim_head.norm_cfg = None
    cfg.train_cfg.rcnn.sampler.num = 1000  # nothing is drawn
    model = network(cfg, seed=0).train().double()
    people = [[1], [1, 2], [2, 1], [1]]
    shape = (96, 128)
    scenes = [
        scene(BOXES[: len(ids)], ids, shape=shape, seed=seed)
        for seed, ids in enumerate([*people, *reversed(people)])
    ]
    for _, sample in scenes:
        sample.set_metainfo(dict(pair_identity=1))
    half = len(people) // world_size
    mine = slice(rank * half, (rank + 1) * half)
    share = [*scenes[:4][mine], *scenes[4:][mine]]
    model.loss(*batch(model, *share, training=True))
    loss_oim = model.roi_head.oim_head.loss_oim
    return loss_oim.table.clone(), loss_oim.queue.clone()


@pytest.mark.slow
def test_two_processes_remember_as_one(tmp_path):
    """Whom the galleries show before whom the queries show, of all."""
    expected = learn_pairs(0, 1)
    for got in run_ranks(2, tmp_path, learn_pairs, 2):
        for ours, theirs in zip(got, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_embeddings_are_those_of_the_boxes_on_the_gated_maps():
    # with BatchNorm at rest an embedding does not depend on its batch
    model = make().eval()
    inputs, samples = pairs(model)
    losses, seen = spied(model, inputs, samples)
    sizes = [tuple(sample.img_shape) for sample in samples]
    head = model.roi_head
    with torch.no_grad():
        query_map, _ = model.backbone.forward_pairs(
            inputs[:2],
            inputs[2:],
            (sizes[:2], sizes[2:]),
            torch.tensor(BOXES[:2]),
        )
        boxes = [[BOXES[0]], [BOXES[1]]]  # the first of two in the second
        rois = bbox2roi([torch.tensor(box) for box in boxes])
        pooled = head.pool((query_map,), rois)
        expected = head.oim_head(pooled)
    torch.testing.assert_close(seen['query'][0], expected)
    assert losses.keys() == KEYS


def test_every_roi_is_compared_with_the_query_of_its_own_pair():
    model = make()
    losses, seen = spied(model, *pairs(model))
    query, gallery, ids, wanted = seen['similar']
    expected = seen['query'][0].repeat_interleave(ROIS, dim=0)
    assert torch.equal(query, expected)
    assert torch.equal(gallery, seen['gallery'][0])
    assert torch.equal(ids, seen['gallery'][1])
    assert wanted.tolist() == [1] * ROIS + [2] * ROIS
    assert losses['loss_sim'] > 0


def test_the_query_branch_learns_the_boxes_of_the_shared_person():
    model = make()
    inputs, samples = pairs(model)
    rpn = model.rpn_head
    with mock.patch.object(rpn, 'loss_pairs', wraps=rpn.loss_pairs) as spy:
        model.loss(inputs, samples)
    feats, query, targets, of_gallery, cfg = spy.call_args.args
    assert [t.tolist() for t in targets] == [[BOXES[0]], [BOXES[2]]]
    assert list(of_gallery) == list(samples[2:])
    assert query.shape == (2, 32)
    assert feats[0].shape == (2, 32, 6, 8)
    assert cfg == model.train_cfg.rpn_proposal


@pytest.mark.parametrize(
    ('queries', 'image'),
    [
        (([0, UNLABELED], [0, 2]), '0.jpg: does not show identity 1'),
        (([1, UNLABELED], [0, 1]), '1.jpg: does not show identity 2'),
    ],
)
def test_a_query_image_without_its_person_is_named(queries, image):
    model = make()
    with pytest.raises(ValueError, match=image):
        model.loss(*pairs(model, queries=queries))


def test_a_gallery_image_without_its_person_is_named():
    model = make()
    inputs, samples = pairs(model)
    people = samples[3].gt_instances
    samples[3].gt_instances = people[people.instances_ids != 2]
    with pytest.raises(ValueError, match=r'3\.jpg: does not show identity 2'):
        model.loss(inputs, samples)


def test_images_that_were_not_paired_are_named():
    model = make()
    inputs, samples = pairs(model)
    samples[3].set_metainfo(dict(pair_identity=1))
    with pytest.raises(
        ValueError, match=r'1\.jpg and .*3\.jpg share no identity: .* 2 and 1'
    ):
        model.loss(inputs, samples)
    with pytest.raises(ValueError, match='1 query images and 2 gallery image'):
        model.loss(inputs[:3], samples[:3])


def test_a_plain_data_set_is_refused_with_the_way_out():
    model = make()
    scenes = [scene(BOXES[:1], [1], seed=seed) for seed in range(2)]
    with pytest.raises(
        ValueError, match=r'0\.jpg is not part of a pair; .*QueryGalleryPairs'
    ):
        model.loss(*batch(model, *scenes, training=True))


# --- parts switched off


@pytest.mark.parametrize(
    ('without', 'losses', 'weights'),
    [
        (['gates'], {'gate_spread'}, ('backbone.gates.',)),
        (
            ['qrpn'],
            {'loss_qrpn_cls', 'qrpn_order'},
            ('rpn_head.gate.', 'rpn_head.qrpn_'),
        ),
        (['sim'], {'loss_sim', 'qsim_order'}, ('roi_head.sim_head.',)),
        (
            ['gates', 'qrpn', 'sim'],
            KEYS - BASE,
            ('gates.', 'gate.', 'qrpn_', 'sim_head.'),
        ),
    ],
)
def test_a_part_that_is_switched_off_leaves_nothing(without, losses, weights):
    model, full = make(without), make()
    found = model.loss(*pairs(model))
    assert found.keys() == KEYS - losses
    assert all(value.isfinite().all() for value in found.values())
    gone = full.state_dict().keys() - model.state_dict().keys()
    assert gone == {
        name for name in full.state_dict() if any(w in name for w in weights)
    }
    assert gone
    assert model.state_dict().keys() < full.state_dict().keys()


def test_without_any_part_the_gallery_has_the_losses_of_the_plain_network():
    # the query's loss aside; BatchNorm at rest, which both streams share
    model = make(['gates', 'qrpn', 'sim']).eval()
    plain = network(network_config(oim=True), seed=1).eval()
    plain.load_state_dict(model.state_dict())
    inputs, samples = pairs(model)
    # one size for all, as the plain network does not mask its padding
    inputs = torch.randn(4, 3, 96, 128)
    for sample in samples:
        sample.set_metainfo(dict(img_shape=(96, 128), pad_shape=(96, 128)))
    torch.manual_seed(3)
    losses = model.loss(inputs, samples)
    torch.manual_seed(3)
    expected = plain.loss(inputs[2:], samples[2:])
    assert losses.keys() == {*expected, 'loss_oim_query'}
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value, msg=key)


# --- single images


def test_single_images_are_searched_as_by_the_plain_network():
    model = make(**{'backbone.single': 'none'}).eval()
    plain = network(network_config(oim=True), seed=1).eval()
    missing, unexpected = plain.load_state_dict(
        model.state_dict(), strict=False
    )
    assert missing == []
    assert all(
        any(part in name for part in ('gates.', 'gate.', 'qrpn_', 'sim_head.'))
        for name in unexpected
    )

    def found(network):
        scenes = [
            scene(BOXES[:2], [0, 1], scale=1.5),
            scene(BOXES[1:2], [2], seed=1),
        ]
        queries = InstanceData(bboxes=torch.tensor([[5.0, 5, 30, 60]]))
        scenes[0][1].query_instances = queries
        inputs, samples = batch(network, *scenes, training=False)
        with torch.no_grad():
            return network.predict(inputs, samples)

    for ours, stock in zip(found(model), found(plain), strict=True):
        assert len(ours.pred_instances) > 3
        for field in ('bboxes', 'scores', 'labels', 'embeddings'):
            assert torch.equal(
                ours.pred_instances[field], stock.pred_instances[field]
            )
        assert torch.equal(
            ours.gt_instances.embeddings, stock.gt_instances.embeddings
        )
        assert ('query_instances' in ours) == ('query_instances' in stock)
        if 'query_instances' in ours:
            assert torch.equal(
                ours.query_instances.embeddings,
                stock.query_instances.embeddings,
            )


def test_a_single_image_is_the_same_in_the_padding_of_a_batch():
    model = make().eval()
    # far from the border, where RoIAlign would see the zeros of the padding
    small = scene(BOXES[:1], [2], shape=(80, 101), seed=1)
    with torch.no_grad():
        (alone,) = model.predict(*batch(model, small, training=False))
        small = scene(BOXES[:1], [2], shape=(80, 101), seed=1)
        large = scene(BOXES[:1], [1])
        together = batch(model, large, small, training=False)
        _, padded = model.predict(*together)
    torch.testing.assert_close(
        padded.gt_instances.embeddings,
        alone.gt_instances.embeddings,
        rtol=1e-4,
        atol=1e-5,
    )
