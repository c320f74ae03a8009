from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import nn

from mmps.models.person_search_rpn_head import PersonSearchRPNHead
from mmps.structures import UNLABELED
from tests.models.build import model_config
from tests.models.test_anchor_choice import iou

CHANNELS, BASES = 8, 5
SHAPE = (96, 128)  # 6 x 8 cells
ANCHORS = 6 * 8 * BASES
#: Equal to anchors: of base 2 at cell (2, 1), and of base 1 at (3, 5).
QUERY = [-2.215, -13.537, 34.215, 77.537]
OTHER = [67.857, 17.642, 92.143, 78.358]


def config(num=256, **options):
    model = model_config('qeeps/qeeps_r18_tiny')
    head = model.rpn_head
    for name in ('num_samples', 'other_people_first'):
        head.pop(name)  # what is tested is the default
    head.update(in_channels=CHANNELS, feat_channels=6, **options)
    model.train_cfg.rpn.sampler.num = num
    return head, model.train_cfg, model.test_cfg


def make(num=256, seed=0, **options):
    head, train_cfg, test_cfg = config(num, **options)
    if head.type == 'PersonSearchRPNHead':
        head.pop('query_guided', None)
    torch.manual_seed(seed)
    head = MODELS.build(
        dict(head, train_cfg=train_cfg.rpn, test_cfg=test_cfg.rpn)
    )
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    nn.init.normal_(head.rpn_reg.weight, std=0.02)
    nn.init.normal_(head.rpn_reg.bias, std=0.02)
    if hasattr(head, 'gate'):
        nn.init.normal_(head.gate.norm.mean, std=0.3)
        nn.init.uniform_(head.gate.norm.var, 0.5, 1.5)
        head.gate.eval()  # statistics stay as they are
    return head


def proposal_cfg(**options):
    return ConfigDict(
        dict(
            nms_pre=1000,
            max_per_img=300,
            nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0,
        )
        | options
    )


def draw(pairs=2, seed=1):
    """A map of the gallery, and averages of the queries."""
    generator = torch.Generator().manual_seed(seed)
    feats = torch.randn(pairs, CHANNELS, 6, 8, generator=generator)
    return (feats,), torch.randn(pairs, CHANNELS, generator=generator)


def metas(*shapes):
    return [dict(img_shape=s, pad_shape=s) for s in shapes or (SHAPE,) * 2]


def gallery(*people, shapes=()):
    """Samples of gallery images; the people by their boxes."""
    samples = []
    shapes = shapes or (SHAPE,) * len(people)
    for boxes, meta in zip(people, metas(*shapes), strict=True):
        boxes = torch.tensor(boxes)
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(
            bboxes=boxes,
            labels=torch.zeros(len(boxes), dtype=torch.long),
            instances_ids=torch.full((len(boxes),), UNLABELED),
        )
        sample.set_metainfo(dict(pair_identity=7))
        samples.append(sample)
    return samples


def anchor_list(head):
    (anchors,) = head.prior_generator.grid_priors([(6, 8)], device='cpu')
    return anchors


def slow_labels(head, boxes, columns=8):
    """Numbers of the positive and of the negative anchors of an image."""
    overlaps = {
        number: [iou(anchor, box) for box in boxes]
        for number, anchor in enumerate(anchor_list(head).tolist())
        if number // BASES % 8 < columns
    }
    best = [max(column) for column in zip(*overlaps.values(), strict=True)]
    positive, negative = set(), set()
    for number, of_boxes in overlaps.items():
        is_best = any(
            abs(value - top) < 1e-6 and top >= 0.3
            for value, top in zip(of_boxes, best, strict=True)
        )
        if max(of_boxes) >= 0.7 or is_best:
            positive.add(number)
        elif max(of_boxes) < 0.3:
            negative.add(number)
    return positive, negative


def query_loss(head, samples, targets, logits):
    """The loss when the query branch says ``logits``."""
    feats, query = draw(len(samples))
    targets = [torch.tensor(boxes) for boxes in targets]
    with mock.patch.object(head, 'query_scores', return_value=logits):
        losses, _ = head.loss_pairs(
            feats, query, targets, samples, proposal_cfg()
        )
    return losses['loss_qrpn_cls']


def sampled_labels(head, samples, targets):
    """Positive and negative anchors of every image, read off the gradient."""
    logits = torch.zeros(len(samples), ANCHORS, requires_grad=True)
    query_loss(head, samples, targets, logits).backward()
    return [
        (
            set((of_image < 0).nonzero().flatten().tolist()),
            set((of_image > 0).nonzero().flatten().tolist()),
        )
        for of_image in logits.grad
    ]


# --- labels and loss


def test_the_boxes_of_this_test_are_anchors():
    anchors = anchor_list(make())
    numbers = [(2 * 8 + 1) * BASES + 2, (3 * 8 + 5) * BASES + 1]
    torch.testing.assert_close(
        anchors[numbers], torch.tensor([QUERY, OTHER]), rtol=0, atol=1e-3
    )


def test_the_person_of_the_query_is_positive_and_others_are_negative():
    head = make()
    ((positive, negative),) = sampled_labels(
        head, gallery([OTHER, QUERY]), [[QUERY]]
    )
    expected = slow_labels(head, [QUERY])
    assert (positive, negative) == expected
    ignored = ANCHORS - len(positive) - len(negative)
    assert len(positive) >= 1
    assert ignored >= 1
    assert (2 * 8 + 1) * BASES + 2 in positive
    assert (3 * 8 + 5) * BASES + 1 in negative


def test_the_best_anchor_is_positive_below_the_threshold():
    head = make()
    box = [60.0, 30.0, 90.0, 65.0]  # too broad for every anchor
    ((positive, negative),) = sampled_labels(head, gallery([box]), [[box]])
    anchors = anchor_list(head).tolist()
    assert max(iou(anchor, box) for anchor in anchors) < 0.7
    assert len(positive) >= 1
    assert (positive, negative) == slow_labels(head, [box])


def test_all_boxes_of_the_person_are_positive():
    head = make()
    pair = [QUERY, OTHER]
    both, one = sampled_labels(head, gallery(pair, pair), [pair, [OTHER]])
    assert both == slow_labels(head, pair)
    assert one == slow_labels(head, [OTHER])


def test_no_anchor_is_taken_in_the_padding():
    head = make()
    shapes = [(96, 80), SHAPE]  # 5 of 8 columns lie in the first image
    narrow, full = sampled_labels(
        head, gallery([QUERY], [QUERY], shapes=shapes), [[QUERY]] * 2
    )
    assert narrow == slow_labels(head, [QUERY], columns=5)
    assert full == slow_labels(head, [QUERY])
    assert narrow != full


def test_the_sampler_decides_how_many_anchors_of_each_pair_are_taken():
    head = make(num=20)
    people = gallery([QUERY], [OTHER])
    torch.manual_seed(0)
    found = sampled_labels(head, people, [[QUERY], [OTHER]])
    for (positive, negative), box in zip(found, (QUERY, OTHER), strict=True):
        all_positive, all_negative = slow_labels(head, [box])
        assert positive <= all_positive
        assert negative <= all_negative
        assert len(positive) == min(len(all_positive), 10)
        assert len(positive) + len(negative) == 20


@pytest.mark.parametrize('weight', [1.0, 0.3])
def test_loss_is_binary_cross_entropy_averaged_over_all_anchors(weight):
    head = make(loss_weight=weight)
    torch.manual_seed(0)
    logits = torch.randn(2, ANCHORS)
    value = query_loss(
        head, gallery([QUERY], [OTHER]), [[QUERY], [OTHER]], logits
    )
    terms = []
    for of_image, box in zip(logits, (QUERY, OTHER), strict=True):
        positive, negative = slow_labels(head, [box])
        terms += [-F.logsigmoid(of_image[n]) for n in positive]
        terms += [-F.logsigmoid(-of_image[n]) for n in negative]
    expected = weight * torch.stack(terms).mean()
    torch.testing.assert_close(value, expected)


def test_losses_of_the_rpn_stay_as_they_are():
    head, plain = make(), make(type='PersonSearchRPNHead')
    plain.load_state_dict(head.state_dict(), strict=False)
    feats, query = draw()
    samples = gallery([QUERY, OTHER], [OTHER])
    targets = [torch.tensor([QUERY]), torch.tensor([OTHER])]
    torch.manual_seed(3)
    losses, _ = head.loss_pairs(feats, query, targets, samples, proposal_cfg())
    torch.manual_seed(3)
    expected, _, _ = plain.loss_and_sampled(feats, samples, proposal_cfg())
    assert losses.keys() == {*expected, 'loss_qrpn_cls'}
    for key, value in expected.items():
        assert torch.equal(losses[key], value), key


# --- scores


def test_query_scores_are_the_formula_anchor_by_anchor():
    head = make(reduction=4, min_hidden=1)
    (feats,), query = draw()
    gate = head.gate
    assert gate.fc1.out_features == 2
    spread = (gate.norm.var + 1e-6).sqrt()
    with torch.no_grad():
        got = head.query_scores(feats, query)
        assert got.shape == (2, ANCHORS)
        padded = F.pad(feats, (1, 1, 1, 1))
        for b in range(2):
            z = (query[b] - gate.norm.mean) / spread
            hidden = (gate.fc1.weight @ z + gate.fc1.bias).clamp(min=0)
            out = gate.fc2.weight @ hidden + gate.fc2.bias
            s = 2 / (1 + (-out).exp())
            assert s.std() > 0.01
            for y in range(6):
                for x in range(8):
                    window = padded[b, :, y : y + 3, x : x + 3]
                    window = window * s[:, None, None]
                    conv = (head.qrpn_conv.weight * window).sum((1, 2, 3))
                    conv = (conv + head.qrpn_conv.bias).clamp(min=0)
                    cls = head.qrpn_cls.weight[:, :, 0, 0] @ conv
                    torch.testing.assert_close(
                        got[b, y * 8 * BASES + x * BASES :][:BASES],
                        cls + head.qrpn_cls.bias,
                        rtol=1e-4,
                        atol=1e-5,
                    )


@pytest.mark.parametrize(
    ('options', 'hidden', 'channels'),
    [
        ({}, 32, 6),
        (dict(min_hidden=1), 1, 6),
        (dict(reduction=2, min_hidden=1, query_channels=3), 4, 3),
    ],
)
def test_widths_of_the_query_branch(options, hidden, channels):
    head = make(**options)
    assert head.gate.fc1.out_features == hidden
    assert head.qrpn_conv.out_channels == channels
    assert head.qrpn_cls.out_channels == BASES


def test_a_fresh_query_branch_differs_between_queries():
    head, train_cfg, test_cfg = config()
    head = MODELS.build(
        dict(head, train_cfg=train_cfg.rpn, test_cfg=test_cfg.rpn)
    )
    head.init_weights()
    (feats,), query = draw()
    with torch.no_grad():
        one = head.eval().query_scores(feats, query)
        two = head.query_scores(feats, query.flip(0))
    assert float((one - two).std() / one.std()) > 0.05


def test_a_fresh_query_branch_is_no_hundredth_of_its_input():
    head, train_cfg, test_cfg = config()
    head = MODELS.build(
        dict(head, train_cfg=train_cfg.rpn, test_cfg=test_cfg.rpn)
    )
    head.init_weights()
    # Kaiming keeps the size of what passes; the RPN's start makes it 0.01
    for conv, fan_in in ((head.qrpn_conv, 9 * CHANNELS), (head.qrpn_cls, 6)):
        expected = (2 / fan_in) ** 0.5
        assert float(conv.weight.detach().std()) == pytest.approx(
            expected, rel=0.4
        )
        assert not conv.bias.any()
    start = head.rpn_conv.weight.detach().std()
    assert float(start) == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize(
    ('wanted', 'order'), [([0], 1.0), ([1], 0.0), ([0, 1], None), ([], None)]
)
def test_the_log_says_whose_anchors_score_higher(wanted, order):
    head = make()
    (feats,), query = draw(1)
    samples = gallery([QUERY, OTHER])
    ids = samples[0].gt_instances.instances_ids
    ids[wanted] = 7
    logits = torch.full((1, ANCHORS), -3.0)
    boxes = bbox_overlaps(anchor_list(head), torch.tensor([QUERY, OTHER]))
    logits[0, boxes[:, 0] >= 0.5] = 1.0
    logits[0, boxes[:, 1].argmax()] = 0.5
    with mock.patch.object(head, 'query_scores', return_value=logits):
        losses, _ = head.loss_pairs(
            (feats,), query, [torch.tensor([QUERY])], samples, proposal_cfg()
        )
    got = losses.get('qrpn_order')
    assert (got if got is None else float(got)) == order


def test_merged_scores_are_written_out():
    rpn, query = torch.tensor([0.0, 2.0, -9.0]), torch.tensor([0.0, -1.0, 9.0])
    p, q = 1 / (1 + (-rpn).exp()), 1 / (1 + (-query).exp())
    torch.testing.assert_close(make().merged(rpn, query), p + q)
    product = make(merge='product')
    torch.testing.assert_close(product.merged(rpn, query), p * q)
    half = product.merged(rpn.bfloat16(), query.bfloat16())
    assert half.dtype == torch.float32


@pytest.mark.parametrize('merge', ['mean', '', None])
def test_an_unknown_merge_is_refused(merge):
    with pytest.raises(ValueError, match=f"'product', got {merge!r}"):
        make(merge=merge)


# --- proposals


@pytest.mark.parametrize(
    ('merge', 'logit'),
    [('sum', -200.0), ('sum', 0.4), ('product', 200.0), ('product', 0.4)],
)
@pytest.mark.parametrize(
    'options', [{}, dict(nms_pre=50), dict(max_per_img=7)]
)
def test_equal_query_scores_leave_the_proposals_of_the_rpn(
    merge, logit, options
):
    head = make(merge=merge)
    feats, _ = draw()
    cfg = proposal_cfg(min_bbox_size=20, **options)
    batch_metas = metas(SHAPE, (90, 101))
    with torch.no_grad():
        expected = RPNHead.predict_by_feat(
            head, *head(feats), batch_img_metas=batch_metas, cfg=cfg
        )
        proposals = head.propose(
            *head.anchors_of(feats, batch_metas),
            torch.full((2, ANCHORS), logit),
            cfg,
        )
    for got, stock in zip(proposals, expected, strict=True):
        assert len(got) >= 7
        assert torch.equal(got.bboxes, stock.bboxes)
        assert torch.equal(got.labels, stock.labels)
        merged = head.merged(
            torch.logit(stock.scores.double()), torch.tensor(logit)
        )
        torch.testing.assert_close(got.scores, merged)


@pytest.mark.parametrize('merge', ['sum', 'product'])
def test_the_anchor_that_the_query_wants_comes_first(merge):
    head = make(merge=merge)
    feats, _ = draw()
    scores, boxes = head.anchors_of(feats, metas())
    logits = torch.full((2, ANCHORS), -4.0)
    logits[0, 17], logits[1, 133] = 30.0, 30.0
    first, second = head.propose(scores, boxes, logits, proposal_cfg())
    assert torch.equal(first.bboxes[0], boxes[0, 17])
    assert torch.equal(second.bboxes[0], boxes[1, 133])
    assert torch.equal(first.scores, first.scores.sort(descending=True)[0])


def test_anchors_are_decoded_by_row_column_and_base():
    head = make()
    feats, _ = draw()
    scores, boxes = head.anchors_of(feats, metas(SHAPE, (90, 101)))
    (logits,), (deltas,) = head(feats)
    anchors = anchor_list(head)
    for b, limit in enumerate([(96, 128), (90, 101)]):
        number = 0
        for y in range(6):
            for x in range(8):
                for a in range(BASES):
                    assert scores[b, number] == logits[b, a, y, x]
                    box = head.bbox_coder.decode(
                        anchors[number : number + 1],
                        deltas[b, 4 * a : 4 * a + 4, y, x][None],
                        max_shape=limit,
                    )[0]
                    torch.testing.assert_close(boxes[b, number], box)
                    number += 1
    assert not scores.requires_grad
    assert not boxes.requires_grad


def test_proposals_of_a_training_step_have_the_merged_order():
    head = make()
    feats, query = draw()
    samples = gallery([QUERY], [OTHER])
    targets = [torch.tensor([QUERY]), torch.tensor([OTHER])]
    _, proposals = head.loss_pairs(
        feats, query, targets, samples, proposal_cfg()
    )
    with torch.no_grad():
        logits = head.query_scores(feats[0], query)
    scores, boxes = head.anchors_of(feats, metas())
    expected = head.propose(scores, boxes, logits, proposal_cfg())
    merged = head.merged(scores, logits)
    for i in range(2):
        assert torch.equal(proposals[i].bboxes, expected[i].bboxes)
        assert torch.equal(
            proposals[i].bboxes[0], boxes[i, merged[i].argmax()]
        )
        assert proposals[i].scores[0] == merged[i].max()
        assert merged[i].argmax() != scores[i].argmax()
        assert not proposals[i].bboxes.requires_grad


# --- switched off, gradients


def test_without_a_query_it_is_the_plain_rpn():
    head, plain = make(query_guided=False), make(type='PersonSearchRPNHead')
    assert type(plain) is PersonSearchRPNHead
    plain.load_state_dict(head.state_dict())
    feats, query = draw()
    samples = gallery([QUERY, OTHER], [OTHER])
    targets = [torch.tensor([QUERY]), torch.tensor([OTHER])]
    torch.manual_seed(3)
    losses, proposals = head.loss_pairs(
        feats, query, targets, samples, proposal_cfg()
    )
    torch.manual_seed(3)
    expected, boxes, _ = plain.loss_and_sampled(feats, samples, proposal_cfg())
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(losses[key], value), key
    for ours, stock in zip(proposals, boxes, strict=True):
        assert len(ours) > 10
        assert torch.equal(ours.bboxes, stock.bboxes)
        assert torch.equal(ours.scores, stock.scores)


def test_the_query_loss_reaches_its_branch_and_both_images():
    head = make()
    (feats,), query = draw()
    feats.requires_grad_()
    query.requires_grad_()
    losses, _ = head.loss_pairs(
        (feats,),
        query,
        [torch.tensor([QUERY]), torch.tensor([OTHER])],
        gallery([QUERY], [OTHER]),
        proposal_cfg(),
    )
    losses['loss_qrpn_cls'].backward()
    assert feats.grad.any()
    assert query.grad.any(dim=1).all()
    own = ('gate.', 'qrpn_conv.', 'qrpn_cls.')
    for name, parameter in head.named_parameters():
        if name.startswith(own):
            assert parameter.grad.any(), name
        else:
            assert parameter.grad is None, name


def test_with_other_people_first_a_score_for_them_costs_more():
    losses = {}
    for first in (False, True):
        head = make(num=8, other_people_first=first)
        samples = gallery([QUERY, OTHER])
        overlap = bbox_overlaps(
            anchor_list(head), torch.tensor([OTHER])
        ).flatten()
        # says yes to whoever the other one is, no to all else
        logits = torch.where(overlap >= 0.5, 5.0, -5.0)[None]
        torch.manual_seed(0)
        losses[first] = head.query_loss(
            logits, [torch.tensor([QUERY])], (6, 8), samples
        )
    assert losses[True] > 1.5 * losses[False]


@pytest.mark.parametrize(('asked', 'sampled'), [(None, 64), (16, 16)])
def test_the_query_score_may_be_trained_on_fewer_anchors(asked, sampled):
    head = make(num=64, num_samples=asked)
    counts = []
    kept = head.query_sampler.sample

    def count(*args):
        result = kept(*args)
        counts.append(len(result.pos_inds) + len(result.neg_inds))
        return result

    head.query_sampler.sample = count
    feats, query = draw(pairs=1)
    head.loss_pairs(
        feats,
        query,
        [torch.tensor([QUERY])],
        gallery([QUERY, OTHER]),
        proposal_cfg(),
    )
    assert counts == [sampled]
    assert head.sampler.num == 64
