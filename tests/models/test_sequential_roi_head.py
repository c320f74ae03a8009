import pytest
import torch
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData

from mmps.models.norm_aware_head import person_logits
from tests.models.build import batch, build, model_config, scene

BOXES = [[10, 10, 40, 85], [60, 5, 95, 90]]


def network(**options):
    cfg = model_config('seqnet/seqnet_r18_synth')
    cfg.test_cfg.rpn.update(max_per_img=8)
    cfg.test_cfg.rcnn.update(score_thr=0.0, **options)
    return build(cfg)


def prepared(model, training):
    scenes = [scene(BOXES, [3, -1]), scene(BOXES[:1], [5], seed=1)]
    inputs, samples = batch(model, *scenes, training=training)
    return model.extract_feat(inputs), samples


@pytest.fixture
def trained():
    """Head, features, samples and proposals of a training step."""
    model = network().train()
    feats, samples = prepared(model, training=True)
    proposals = [
        InstanceData(bboxes=torch.tensor(BOXES) + 3.0),
        InstanceData(bboxes=torch.tensor(BOXES) - 2.0),
    ]
    return model.roi_head, feats, samples, proposals


def test_the_second_head_is_trained_on_what_the_first_one_refines(
    trained, monkeypatch
):
    head, feats, samples, proposals = trained
    calls = []
    sample = head.sample

    def spy(feats, boxes, samples):
        calls.append((boxes, sample(feats, boxes, samples)))
        return calls[-1][1]

    monkeypatch.setattr(head, 'sample', spy)
    outputs = []
    head.bbox_head.register_forward_hook(
        lambda _, __, output: outputs.append(output[1].detach())
    )
    head.loss_and_sampled(feats, proposals, samples)
    (given, first), (refined, second) = calls
    assert given is proposals
    sizes = [len(result.priors) for result in first]
    for result, boxes, deltas, again in zip(
        first, refined, outputs[0].split(sizes), second, strict=True
    ):
        decoded = head.bbox_head.bbox_coder.decode(
            result.priors, deltas, max_shape=(96, 128)
        )
        torch.testing.assert_close(boxes.bboxes, decoded)
        # and on the annotated boxes
        assert len(again.priors) == len(decoded) + again.num_gts


def test_no_gradient_of_the_second_head_reaches_the_first(trained):
    head, feats, samples, proposals = trained
    losses, _ = head.loss_and_sampled(feats, proposals, samples)
    sum(
        losses[f'loss_{name}'] for name in ('reid_cls', 'reid_bbox', 'oim')
    ).backward()
    for part in (head.bbox_head, head.shared_head):
        assert all(p.grad is None for p in part.parameters())
    for part in (head.reid_stage, head.reid_bbox_head, head.oim_head):
        assert all(p.grad.any() for p in part.parameters())


def test_the_second_head_has_a_weight_of_its_own(trained):
    head, feats, samples, proposals = trained
    head.reid_bbox_head.loss_bbox.loss_weight = 0.0
    losses, _ = head.loss_and_sampled(feats, proposals, samples)
    assert losses['loss_reid_bbox'] == 0
    assert losses['loss_bbox'] > 0


def test_what_a_distiller_sees_is_the_first_head(trained):
    head, feats, samples, proposals = trained
    torch.manual_seed(0)
    _, boxes = head.loss_and_sampled(feats, proposals, samples)
    logits, deltas = head.box_branch(head.pool(feats, boxes.where))
    # BatchNorm has the same batch both times
    torch.testing.assert_close(boxes.logits, logits)
    torch.testing.assert_close(boxes.deltas, deltas)


def test_given_boxes_are_embedded_by_the_second_conv5():
    model = network().eval()
    feats, samples = prepared(model, training=False)
    head = model.roi_head
    head.embed_given(feats, samples)
    expected = head.oim_head(
        head.reid_vectors(
            (feats[0][:1],), bbox2roi([torch.tensor(BOXES).float()])
        )
    )
    torch.testing.assert_close(samples[0].gt_instances.embeddings, expected)


@pytest.mark.parametrize('score', ['first', 'norm'])
def test_either_head_may_score(score):
    model = network(
        score=score,
        nms=dict(type='nms', iou_threshold=1.0),
        reid_nms=dict(type='nms', iou_threshold=1.0),
    ).eval()
    feats, samples = prepared(model, training=False)
    head = model.roi_head
    proposals = [InstanceData(bboxes=torch.tensor(BOXES) + 2.0)] * 2
    with torch.no_grad():
        found = head.predict(feats, proposals, samples)[0]
        rois = bbox2roi([proposals[0].bboxes])
        logits, deltas = head.box_branch(head.pool(feats, rois))
        first = head.bbox_head.bbox_coder.decode(
            rois[:, 1:], deltas, max_shape=(96, 128)
        )
        _, norms = head.oim_head.embed(
            head.reid_vectors(feats, bbox2roi([first]))
        )
    logits = logits if score == 'first' else person_logits(norms)
    scores = logits.softmax(dim=1)[:, 0].sort(descending=True)[0]
    torch.testing.assert_close(found.scores, scores)


@pytest.mark.parametrize(('threshold', 'left'), [(1.0, 3), (0.9, 2)])
def test_the_second_head_suppresses_by_a_threshold_of_its_own(threshold, left):
    model = network(
        nms=dict(type='nms', iou_threshold=1.0),
        reid_nms=dict(type='nms', iou_threshold=threshold),
    ).eval()
    feats, samples = prepared(model, training=False)
    # one of them twice
    boxes = torch.tensor([BOXES[0], *BOXES]).float()
    with torch.no_grad():
        found = model.roi_head.predict(
            feats, [InstanceData(bboxes=boxes)] * 2, samples
        )
    assert len(found[0]) == left


def test_boxes_are_given_back_in_original_pixels():
    model = network().eval()
    feats, samples = prepared(model, training=False)
    for sample in samples:
        sample.set_metainfo(dict(scale_factor=(2.0, 4.0)))
    proposals = [InstanceData(bboxes=torch.tensor(BOXES).float())] * 2
    with torch.no_grad():
        inside, original = (
            model.roi_head.predict(feats, proposals, samples, rescale)[0]
            for rescale in (False, True)
        )
    scale = torch.tensor([2.0, 4.0, 2.0, 4.0])
    torch.testing.assert_close(original.bboxes, inside.bboxes / scale)


@pytest.mark.parametrize(
    ('name', 'value'), [('score', 'second'), ('reid_on', 'proposal')]
)
def test_bad_options_are_named(name, value):
    with pytest.raises(ValueError, match=rf'rcnn\.{name} .*{value!r}'):
        network(**{name: value})
