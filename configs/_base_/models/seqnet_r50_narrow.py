# SeqNet, half as wide and from scratch: Li and Miao, AAAI 2021.
_base_ = './torchvision_r50_narrow.py'

model = dict(
    roi_head=dict(
        type='SequentialRoIHead',
        bbox_head=dict(loss_bbox=dict(loss_weight=10.0)),
        reid_bbox_head=dict(
            type='BNBBoxHead',
            with_cls=False,
            loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
        ),
        oim_head=dict(
            type='NormAwareHead',
            in_channels=(512, 1024),
            feat_dim=256,
            loss_oim=dict(
                type='OIMLoss',
                momentum=0.5,
                temperature=1 / 30,
                loss_weight=1.0,
            ),
        ),
    ),
    test_cfg=dict(
        rcnn=dict(
            reid_on='refined',
            score='first',
            reid_nms=dict(type='nms', iou_threshold=0.5),
        )
    ),
)
