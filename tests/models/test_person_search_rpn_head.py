import pytest
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RPNHead

from mmps.models.person_search_rpn_head import per_anchor
from mmps.structures import UNLABELED
from tests.models.build import batch, build, model_config, scene

PEOPLE = [[10, 10, 40, 90], [60, 5, 100, 95]]


def make_model(num=32, sigmoid=True):
    cfg = model_config()
    cfg.train_cfg.rpn.sampler.num = num
    cfg.rpn_head.loss_cls.use_sigmoid = sigmoid
    return build(cfg).train()


def make_inputs(model, people=(PEOPLE, PEOPLE[:1])):
    scenes = [
        scene(boxes, [UNLABELED] * len(boxes), seed=s)
        for s, boxes in enumerate(people)
    ]
    inputs, samples = batch(model, *scenes, training=True)
    return model.extract_feat(inputs), samples


@pytest.mark.parametrize('people', [(PEOPLE, PEOPLE[:1]), (PEOPLE, [])])
@pytest.mark.parametrize('sigmoid', [True, False])
def test_losses_and_proposals_are_those_of_stock_mmdet(
    sigmoid, people, monkeypatch
):
    model = make_model(sigmoid=sigmoid)
    head, proposal_cfg = model.rpn_head, model.train_cfg.rpn_proposal
    feats, samples = make_inputs(model, people)
    torch.manual_seed(3)
    with monkeypatch.context() as patch:
        stock = RPNHead._bbox_post_process
        patch.setattr(type(head), '_bbox_post_process', stock)
        expected, boxes = RPNHead.loss_and_predict(
            head, feats, samples, proposal_cfg=proposal_cfg
        )
    torch.manual_seed(3)
    losses, proposals, _ = head.loss_and_sampled(feats, samples, proposal_cfg)
    assert losses.keys() == expected.keys()
    for key, (value,) in expected.items():
        assert torch.equal(losses[key], value), key
    assert len(boxes) == len(proposals) == 2
    for ours, stock in zip(proposals, boxes, strict=True):
        assert len(ours) > 10
        assert torch.equal(ours.bboxes, stock.bboxes)
        assert torch.equal(ours.scores, stock.scores)


@pytest.mark.parametrize('sigmoid', [True, False])
def test_losses_can_be_computed_again_from_the_sampled_anchors(sigmoid):
    model = make_model(sigmoid=sigmoid)
    head = model.rpn_head
    feats, samples = make_inputs(model)
    losses, _, sampled = head.loss_and_sampled(
        feats, samples, model.train_cfg.rpn_proposal
    )
    number = 2 * 32
    assert sampled.count == number
    assert sampled.logits.shape == (number, 1 if sigmoid else 2)
    assert sampled.deltas.shape == sampled.targets.shape == (number, 4)
    assert len(sampled.where.unique()) == number
    # 6 x 8 cells, 5 anchors; the same number of each image
    assert (sampled.where < 240).sum() == 32
    assert sampled.where.max() < 480
    positive = sampled.positive
    assert 2 <= positive.sum() < 32
    assert not sampled.targets[~positive].any()
    if sigmoid:
        cross_entropy = F.binary_cross_entropy_with_logits(
            sampled.logits[:, 0], positive.float(), reduction='sum'
        )
    else:
        cross_entropy = F.cross_entropy(
            sampled.logits, (~positive).long(), reduction='sum'
        )
    torch.testing.assert_close(losses['loss_rpn_cls'], cross_entropy / number)
    smooth = F.smooth_l1_loss(
        sampled.deltas[positive],
        sampled.targets[positive],
        beta=1 / 9,
        reduction='sum',
    )
    torch.testing.assert_close(losses['loss_rpn_bbox'], smooth / number)


def test_targets_lead_from_the_anchor_at_the_place_to_its_person():
    model = make_model()
    head = model.rpn_head
    feats, samples = make_inputs(model)
    _, _, sampled = head.loss_and_sampled(
        feats, samples, model.train_cfg.rpn_proposal
    )
    (anchors,) = head.prior_generator.grid_priors(
        [feats[0].shape[-2:]], device='cpu'
    )
    image, of_image = sampled.where // 240, sampled.where % 240
    decoded = head.bbox_coder.decode(anchors[of_image], sampled.targets)
    for i in range(2):
        people = samples[i].gt_instances.bboxes
        mine = decoded[(image == i) & sampled.positive]
        assert len(mine)
        distance = (mine[:, None] - people).abs().amax(dim=2)
        assert distance.amin(dim=1).max() < 1e-3


def test_anchors_are_numbered_by_image_row_column_and_base():
    output = torch.arange(2 * 6 * 4 * 5).view(2, 6, 4, 5)  # B, A * 2, H, W
    flat = per_anchor(output, 2)
    row = 0
    for b in range(2):
        for i in range(4):
            for j in range(5):
                for a in range(3):
                    expected = output[b, 2 * a : 2 * a + 2, i, j]
                    assert torch.equal(flat[row], expected)
                    row += 1
    assert row == len(flat)


def test_more_than_one_map_is_refused():
    model = make_model()
    feats, samples = make_inputs(model)
    with pytest.raises(ValueError, match='needs one feature map, got 2'):
        model.rpn_head.loss_and_sampled(
            (*feats, *feats), samples, model.train_cfg.rpn_proposal
        )


def test_scores_of_half_precision_do_not_tie():
    head = make_model().rpn_head
    feats = torch.randn(1, head.in_channels, 40, 60)
    with torch.autocast('cpu', torch.bfloat16):
        scores, deltas = head((feats,))
    assert scores[0].dtype == deltas[0].dtype == torch.float32
    # 16 bits could tell apart a few hundred of the 12 000
    assert len(scores[0].unique()) > 0.9 * scores[0].numel()
