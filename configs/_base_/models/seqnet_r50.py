# SeqNet: Li and Miao, AAAI 2021.
_base_ = './torchvision_r50.py'

model = dict(
    roi_head=dict(
        type='SequentialRoIHead',
        bbox_head=dict(loss_bbox=dict(loss_weight=10.0)),
        reid_stage=dict(
            type='ResConv5',
            depth=50,
            norm_cfg=dict(type='BN', requires_grad=True),
            norm_eval=False,
            init_cfg=dict(
                type='PretrainedResNet', checkpoint='torchvision://resnet50'
            ),
        ),
        reid_bbox_head=dict(
            type='BNBBoxHead',
            with_cls=False,
            in_channels=2048,
            roi_feat_size=1,
            num_classes=1,
            reg_class_agnostic=True,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder',
                target_means=[0.0, 0.0, 0.0, 0.0],
                target_stds=[0.1, 0.1, 0.2, 0.2],
            ),
        ),
        oim_head=dict(
            type='NormAwareHead',
            in_channels=(1024, 2048),
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
