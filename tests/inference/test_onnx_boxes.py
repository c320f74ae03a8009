"""NumPy gives the boxes that mmdet and mmps give."""

import numpy as np
import pytest
import torch
from mmdet.models.task_modules import AnchorGenerator, DeltaXYWHBBoxCoder
from mmengine.config import ConfigDict

from mmps.inference.onnx_boxes import (
    anchors_of,
    decode,
    nms,
    person_scores,
    propose,
    sigmoid,
)
from mmps.inference.onnx_metadata import Anchors, Coder, Proposals
from mmps.models import PersonSearchRPNHead
from mmps.ops import nms as torch_nms

MAX_LOG = float(np.abs(np.log(16 / 1000)))
SIZE = (150, 210)


def head(**test_cfg):
    """An RPN of two scales and ratios."""
    return PersonSearchRPNHead(
        in_channels=4,
        feat_channels=4,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[1.5, 4], ratios=[2.5], strides=[16]
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.1, 0.0, 0.0, 0.2],
            target_stds=[1.0, 0.9, 0.5, 1.0],
        ),
        test_cfg=ConfigDict(
            nms=dict(type='nms', iou_threshold=0.7), **test_cfg
        ),
    )


def described(rpn):
    generator, coder, cfg = rpn.prior_generator, rpn.bbox_coder, rpn.test_cfg
    base = generator.base_anchors[0].tolist()
    anchors = Anchors(tuple(map(tuple, base)), tuple(generator.strides[0]))
    coder = Coder(tuple(coder.means), tuple(coder.stds), MAX_LOG)
    return anchors, Proposals(
        coder, cfg.nms_pre, cfg.min_bbox_size, 0.7, cfg.max_per_img
    )


def test_anchors_are_those_of_mmdet():
    generator = AnchorGenerator(
        strides=[(8, 16)], ratios=[0.5, 3.0], scales=[2, 5]
    )
    base = tuple(map(tuple, generator.base_anchors[0].tolist()))
    expected = generator.grid_priors([(3, 5)], device='cpu')[0]
    found = anchors_of(Anchors(base, (8, 16)), 3, 5)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('spread', [0.5, 30.0])
def test_boxes_move_as_in_mmdet(spread):
    """Also by more than the coder lets them, and over the border."""
    corner = torch.rand(50, 2) * 180
    boxes = torch.cat([corner, corner + torch.rand(50, 2) * 90], dim=1)
    deltas = torch.randn(50, 4) * spread
    means, stds = (0.1, 0.0, -0.2, 0.0), (0.1, 0.2, 0.3, 0.4)
    coder = DeltaXYWHBBoxCoder(means, stds)
    found = decode(
        boxes.numpy(), deltas.numpy(), Coder(means, stds, MAX_LOG), SIZE
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, coder.decode(boxes, deltas, max_shape=SIZE), atol=1e-4
    )


@pytest.mark.parametrize('num', [0, 1, 300])
def test_suppression_is_that_of_mmps(num):
    corner = torch.rand(num, 2) * 60
    boxes = torch.cat([corner, corner + torch.rand(num, 2) * 50], dim=1)
    boxes[num // 2 :: 7, 2:] = boxes[num // 2 :: 7, :2]  # without area
    scores = torch.rand(num).mul(20).floor().div(20)  # many are equal
    for max_num in (9, num + 1):
        found = nms(boxes.numpy(), scores.numpy(), 0.4, max_num)
        expected = torch_nms(boxes, scores, 0.4, max_num=max_num)
        assert found.tolist() == expected.tolist()


def test_a_box_that_overlaps_as_much_as_it_may_stays():
    boxes = np.float32([[0, 0, 2, 2], [0, 0, 2, 1], [0, 0, 2, 1.25]])
    scores = np.float32([0.9, 0.8, 0.7])
    assert nms(boxes, scores, 0.5, 9).tolist() == [0, 1]


@pytest.mark.parametrize(
    ('nms_pre', 'min_size', 'most'), [(60, 0, 10), (-1, 30, 99), (999, 0, 99)]
)
def test_proposals_are_those_of_the_rpn(nms_pre, min_size, most):
    rpn = head(nms_pre=nms_pre, min_bbox_size=min_size, max_per_img=most)
    logits, deltas = torch.randn(1, 2, 10, 14), torch.randn(1, 8, 10, 14) / 2
    (expected,) = rpn.predict_by_feat(
        *([logits], [deltas]), batch_img_metas=[dict(img_shape=SIZE)]
    )
    found = propose(logits.numpy(), deltas.numpy(), *described(rpn), SIZE)
    assert 5 < len(found) <= most
    np.testing.assert_allclose(found, expected.bboxes, atol=1e-4)


def test_there_may_be_no_proposal():
    rpn = head(nms_pre=50, min_bbox_size=500, max_per_img=10)
    logits, deltas = np.zeros((2, 1, 8, 3, 3), np.float32)
    found = propose(logits[:, :2], deltas, *described(rpn), SIZE)
    assert found.shape == (0, 4)


def test_scores_are_those_of_torch():
    logits = torch.tensor([[-200.0, 0], [-3, 1], [0, 0], [2, -1], [150, -150]])
    np.testing.assert_allclose(
        person_scores(logits.numpy()), logits.softmax(1)[:, 0], atol=1e-7
    )
    np.testing.assert_allclose(
        sigmoid(logits.numpy()), logits.sigmoid(), atol=1e-7
    )
