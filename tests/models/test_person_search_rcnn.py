import copy

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import nn

from mmps.structures import UNLABELED
from tests.distillation.networks import network, network_config
from tests.models.build import batch, build, model_config, scene

PEOPLE = [[10, 10, 40, 90], [60, 5, 100, 95]]


def total(losses):
    return sum(
        value if torch.is_tensor(value) else sum(value)
        for key, value in losses.items()
        if 'loss' in key
    )


def test_a_step_has_one_key_per_term_and_moves_every_weight():
    model = build().train()
    scenes = [scene(PEOPLE, [3, UNLABELED], seed=s) for s in range(2)]
    losses = model.loss(*batch(model, *scenes, training=True))
    assert set(losses) == {
        'loss_rpn_cls',
        'loss_rpn_bbox',
        'loss_cls',
        'loss_bbox',
        'loss_oim',
        'acc',
    }
    total(losses).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_a_detector_alone_has_no_identities_and_no_embeddings():
    cfg = model_config()
    cfg.roi_head.pop('oim_head')
    model = build(cfg).train()
    data = batch(model, scene(PEOPLE, seed=1), training=True)
    assert 'loss_oim' not in model.loss(*data)
    model.eval()
    (sample,) = model.predict(*batch(model, scene(PEOPLE), training=False))
    assert len(sample.pred_instances)
    assert 'embeddings' not in sample.pred_instances
    assert 'embeddings' not in sample.gt_instances


def test_an_image_without_people_trains():
    model = build().train()
    losses = model.loss(*batch(model, scene([]), training=True))
    total(losses).backward()
    assert total(losses).isfinite()
    assert losses['loss_oim'] == 0


@MODELS.register_module()
class Eavesdropper(nn.Module):
    """A distiller that keeps what it is told."""

    def __init__(self, student_channels):
        super().__init__()
        self.student_channels = student_channels

    def forward(self, inputs, samples, feats, anchors, rois, losses):
        self.told = inputs, samples, feats, anchors, rois
        return {**losses, 'loss_extra': feats[0].sum()}


def test_a_distiller_is_told_of_the_step_and_returns_its_losses():
    cfg = model_config()
    cfg.distiller = dict(type='Eavesdropper')
    model = build(cfg).train()
    assert model.distiller.student_channels == cfg.rpn_head.in_channels
    inputs, samples = batch(model, scene(PEOPLE, [3, 4]), training=True)
    losses = model.loss(inputs, samples)
    told_inputs, told_samples, feats, anchors, rois = model.distiller.told
    assert told_inputs is inputs
    assert told_samples is samples
    assert torch.equal(losses['loss_extra'], feats[0].sum())
    # these are the anchors and RoIs of the losses
    torch.testing.assert_close(
        losses['loss_rpn_cls'],
        F.binary_cross_entropy_with_logits(
            anchors.logits[:, 0], anchors.positive.float()
        ),
    )
    torch.testing.assert_close(
        losses['loss_cls'],
        F.cross_entropy(rois.logits, (~rois.positive).long()),
    )
    number = len(rois.where)
    assert rois.count == number
    assert rois.deltas.shape == rois.targets.shape == (number, 4)
    assert 2 <= rois.positive.sum() < number
    smooth = F.smooth_l1_loss(
        rois.deltas[rois.positive],
        rois.targets[rois.positive],
        reduction='sum',
    )
    torch.testing.assert_close(losses['loss_bbox'], smooth / number)
    head = model.roi_head.bbox_head
    decoded = head.bbox_coder.decode(rois.where[:, 1:], rois.targets)
    people = samples[0].gt_instances.bboxes
    distance = (decoded[rois.positive][:, None] - people).abs().amax(dim=2)
    assert distance.amin(dim=1).max() < 1e-3


def test_predictions_are_in_original_pixels():
    model = build().eval()
    same = copy.deepcopy(model)
    inputs = scene(PEOPLE, scale=2.0)
    (half,) = model.predict(*batch(model, inputs, training=False))
    (full,) = same.predict(
        *batch(same, scene(PEOPLE), training=False), rescale=False
    )
    assert len(half.pred_instances) > 3
    torch.testing.assert_close(
        half.pred_instances.bboxes * 2, full.pred_instances.bboxes
    )
    norms = half.pred_instances.embeddings.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(len(norms)))


def decided():
    """A network whose proposals and people are ranked by more than rounding.

    That of ``build`` gives all of them one score within 1e-6, so that which
    are kept is a matter of the processor.
    """
    model = network(network_config(oim=True), seed=0).eval()
    torch.manual_seed(0)
    nn.init.normal_(model.rpn_head.rpn_cls.weight, std=1.0)
    nn.init.normal_(model.roi_head.bbox_head.fc_cls.weight, std=3.0)
    return model


@pytest.mark.parametrize('size', [2, 3])
def test_a_batch_predicts_what_its_images_predict_alone(size):
    model = decided()
    scenes = [scene(PEOPLE, seed=s) for s in range(size)]
    together = model.predict(*batch(model, *scenes, training=False))
    for i in range(size):
        one = scene(PEOPLE, seed=i)
        (alone,) = model.predict(*batch(model, one, training=False))
        assert alone.pred_instances.scores.std() > 0.01
        # the same sums in another order; pixels up to 128, the rest up to 1
        for field, atol in (
            *(('bboxes', 2e-3), ('scores', 2e-5)),
            ('embeddings', 2e-5),
        ):
            torch.testing.assert_close(
                together[i].pred_instances[field],
                alone.pred_instances[field],
                rtol=0,
                atol=atol,
            )


def test_no_proposal_survives_outside_the_image_of_a_padded_batch():
    model = build().eval()
    small, large = scene([], shape=(64, 64)), scene([], shape=(96, 128))
    first, _ = model.predict(
        *batch(model, small, large, training=False), rescale=False
    )
    boxes = first.pred_instances.bboxes
    assert len(boxes)
    assert boxes[:, 2:].max() <= 64
