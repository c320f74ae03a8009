from mmdet.registry import TASK_UTILS

from tests.models.published_reference import base_anchors

OPTIONS = dict(scales=[0.5, 1, 2.3, 5.4], ratios=[0.5, 1, 2], strides=[16])


def test_corners_are_whole_pixels():
    anchors = TASK_UTILS.build(dict(type='RoundedAnchorGenerator', **OPTIONS))
    (rounded,) = anchors.base_anchors
    assert rounded.tolist() == base_anchors(*list(OPTIONS.values())[:2])
    (plain,) = TASK_UTILS.build(
        dict(type='AnchorGenerator', **OPTIONS)
    ).base_anchors
    assert 0.4 < (rounded - plain).abs().max() <= 0.5
