"""Parts of the networks of the field against torchvision's own.

Only where torchvision is installed, as in a job of the CI. Weights go from
torchvision's layout to ours as in ``mmps.published``: classes change places,
and the person's four rows of the boxes stay.
"""

import pytest
import torch
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData

from tests.models.build import build, model_config

pytest.importorskip('torchvision')

from torchvision.models.detection import (
    _utils as tv_utils,
)
from torchvision.models.detection import (
    anchor_utils as tv_anchors,
)
from torchvision.models.detection import (
    image_list as tv_images,
)
from torchvision.models.detection import (
    roi_heads as tv_heads,
)
from torchvision.models.detection import (
    rpn as tv_rpn,
)
from torchvision.ops import MultiScaleRoIAlign

#: Height and width of two images, and of the batch that holds them.
SIZES, BATCH = [(96, 112), (112, 128)], (112, 128)
SCALES, RATIOS = [1.0, 1.6, 2.4, 3.6], [0.5, 1.0, 2.0]


def network():
    cfg = model_config('oimnetpp/oimnetpp_r18_synth')
    cfg.rpn_head.anchor_generator.update(scales=SCALES, ratios=RATIOS)
    cfg.test_cfg.rpn.update(nms_pre=100, max_per_img=40)
    return build(cfg).eval()


def generator():
    sizes = tuple(16 * scale for scale in SCALES)
    return tv_anchors.AnchorGenerator((sizes,), (tuple(RATIOS),))


def feature(channels, seed=0):
    shape = (2, channels, BATCH[0] // 16, BATCH[1] // 16)
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=random)


def image_list():
    return tv_images.ImageList(torch.zeros(2, 3, *BATCH), SIZES)


def test_anchors_are_torchvisions():
    expected = generator()(image_list(), [feature(8)])
    priors = TASK_UTILS.build(
        dict(
            type='RoundedAnchorGenerator',
            scales=SCALES,
            ratios=RATIOS,
            strides=[16],
        )
    ).grid_priors([(BATCH[0] // 16, BATCH[1] // 16)], device='cpu')
    for of_image in expected:
        # corners of the same whole pixels
        assert torch.equal(priors[0], of_image)


def test_boxes_are_coded_as_torchvision_does():
    coder = network().roi_head.bbox_head.bbox_coder
    theirs = tv_utils.BoxCoder((10.0, 10.0, 5.0, 5.0))
    random = torch.Generator().manual_seed(0)
    boxes = torch.rand(30, 4, generator=random).cumsum(dim=1) * 30
    people = torch.rand(30, 4, generator=random).cumsum(dim=1) * 30
    deltas = 3 * torch.randn(30, 4, generator=random)
    torch.testing.assert_close(
        coder.encode(boxes, people), theirs.encode_single(people, boxes)
    )
    torch.testing.assert_close(
        coder.decode(boxes, deltas), theirs.decode_single(deltas, boxes)
    )


def test_rois_are_pooled_as_torchvision_does():
    extractor = network().roi_head.bbox_roi_extractor
    maps = feature(8)
    boxes = [
        torch.tensor([[3.0, 5, 60, 90], [0, 0, 8, 9], [50, 20, 127, 111]]),
        torch.tensor([[10.5, 20.25, 40, 80.75]]),
    ]
    pool = MultiScaleRoIAlign(['0'], extractor.output_size, 2)
    expected = pool({'0': maps}, boxes, [BATCH, BATCH])
    rois = torch.cat(
        [
            torch.cat([torch.full((len(b), 1), float(i)), b], dim=1)
            for i, b in enumerate(boxes)
        ]
    )
    torch.testing.assert_close(extractor((maps,), rois), expected)


def test_proposals_are_torchvisions():
    model = network()
    ours, maps = model.rpn_head, feature(128)
    head = tv_rpn.RPNHead(128, len(SCALES) * len(RATIOS))
    for theirs, layer in (
        (head.conv[0][0], ours.rpn_conv),
        (head.cls_logits, ours.rpn_cls),
        (head.bbox_pred, ours.rpn_reg),
    ):
        theirs.load_state_dict(layer.state_dict())
    rpn = tv_rpn.RegionProposalNetwork(
        *(generator(), head, 0.7, 0.3, 256, 0.5),
        pre_nms_top_n=dict(training=100, testing=100),
        post_nms_top_n=dict(training=40, testing=40),
        nms_thresh=0.7,
    ).eval()
    with torch.no_grad():
        expected, _ = rpn(image_list(), {'0': maps})
        scores, deltas = ours((maps,))
        found = ours.predict_by_feat(
            scores,
            deltas,
            batch_img_metas=[dict(img_shape=size) for size in SIZES],
            cfg=model.test_cfg.rpn,
        )
    for result, boxes in zip(found, expected, strict=True):
        torch.testing.assert_close(result.bboxes, boxes, rtol=0, atol=1e-4)


def test_detections_are_torchvisions():
    model = network()
    model.roi_head.test_cfg.update(score_thr=0.5, max_per_img=5)
    heads = tv_heads.RoIHeads(
        *(None, None, None, 0.5, 0.5, 128, 0.5, (10.0, 10.0, 5.0, 5.0)),
        score_thresh=0.5,
        nms_thresh=0.4,
        detections_per_img=5,
    )
    random = torch.Generator().manual_seed(0)
    corner = torch.rand(40, 2, generator=random) * 60
    boxes = torch.cat(
        [corner, corner + 20 + 30 * torch.rand(40, 2, generator=random)], dim=1
    )
    logits = torch.randn(40, 2, generator=random)
    deltas = torch.randn(40, 4, generator=random)
    expected, scores, _ = heads.postprocess_detections(
        logits[:, [1, 0]],
        torch.cat([torch.zeros(40, 4), deltas], dim=1),
        [boxes],
        [SIZES[0]],
    )
    found, _ = model.roi_head.detect(boxes, logits, deltas, SIZES[0])
    assert isinstance(found, InstanceData)
    assert len(found) == 5
    torch.testing.assert_close(found.bboxes, expected[0])
    torch.testing.assert_close(found.scores, scores[0])
