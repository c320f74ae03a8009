# det_r50.py as the networks built on torchvision have it (NAE, SeqNet,
# OIMNet++): anchors of whole pixels, two samples a cell, the maximum of an
# RoI's cells, a wider RPN; every BatchNorm but the first trains, and half of
# the RoIs show people. Values: Li and Miao, AAAI 2021, and their code.
_base_ = './det_r50.py'

trained_bn = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(frozen_stages=0, norm_cfg=trained_bn, norm_eval=False),
    rpn_head=dict(
        feat_channels=1024,
        anchor_generator=dict(type='RoundedAnchorGenerator'),
    ),
    roi_head=dict(
        pool='max',
        bbox_roi_extractor=dict(sampling_ratio=2, aligned=False),
        shared_head=dict(norm_cfg=trained_bn, norm_eval=False),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(pos_fraction=0.5))),
    test_cfg=dict(rcnn=dict(max_per_img=300)),
)
