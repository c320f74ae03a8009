# As torchvision_r18.py, half as wide and from scratch, with the anchors, RoIs
# and numbers of det_r18_narrow.py.
_base_ = './torchvision_r18.py'

model = dict(
    backbone=dict(base_channels=32, frozen_stages=-1, init_cfg=None),
    rpn_head=dict(
        in_channels=128,
        feat_channels=128,
        anchor_generator=dict(scales=[1.6, 2.4, 3.6, 5.4, 8.0], ratios=[2.5]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(output_size=8),
        shared_head=dict(base_channels=32, init_cfg=None),
        bbox_head=dict(in_channels=256),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=300),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=100), rcnn=dict(max_per_img=100)
    ),
)
