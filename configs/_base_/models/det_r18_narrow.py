# Half as wide, from scratch, for 320 x 240 pictures without a GPU: every
# BatchNorm trains, RoIs are 8 x 8, half of them on people, anchors have the
# shape of people.
_base_ = './det_r18.py'

trained_bn = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(
        base_channels=32,
        frozen_stages=-1,
        norm_cfg=trained_bn,
        norm_eval=False,
        init_cfg=None,
    ),
    rpn_head=dict(
        in_channels=128,
        feat_channels=128,
        anchor_generator=dict(scales=[1.6, 2.4, 3.6, 5.4, 8.0], ratios=[2.5]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(output_size=8, sampling_ratio=2),
        shared_head=dict(
            base_channels=32,
            norm_cfg=trained_bn,
            norm_eval=False,
            init_cfg=None,
        ),
        bbox_head=dict(in_channels=256),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=300),
        rcnn=dict(sampler=dict(num=32, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=100)),
)
