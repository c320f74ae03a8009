"""A network as small as one can be, as the text of a config."""

TINY = """
_base_ = '{root}/configs/oim/oim_r18_tiny.py'
model = dict(
    backbone=dict(base_channels=8),
    rpn_head=dict(in_channels=32, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(output_size=4),
        shared_head=dict(base_channels=8),
        bbox_head=dict(in_channels=64),
        oim_head=dict(in_channels=64, feat_dim=8),
    ),
    test_cfg=dict(rpn=dict(max_per_img=20), rcnn=dict(score_thr=0.05)),
)
"""
