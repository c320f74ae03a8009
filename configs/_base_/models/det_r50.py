# Faster R-CNN on C4 (DET50): ResNet-50 conv1..conv4, conv5 on the RoIs.
# Numbers: docs/design.md; two-stage values as in Ren et al., 2015.
weights = dict(type='PretrainedResNet', checkpoint='torchvision://resnet50')
frozen_bn = dict(type='BN', requires_grad=False)
model = dict(
    type='PersonSearchRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        # ImageNet statistics of torchvision's weights
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=16,
    ),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        frozen_stages=1,
        norm_cfg=frozen_bn,
        norm_eval=True,
        style='pytorch',
        init_cfg=weights,
    ),
    rpn_head=dict(
        type='PersonSearchRPNHead',
        in_channels=1024,
        feat_channels=512,
        anchor_generator=dict(
            type='AnchorGenerator',
            scales=[2, 4, 8, 16, 32],
            ratios=[0.5, 1.0, 2.0],
            strides=[16],
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[1.0, 1.0, 1.0, 1.0],
        ),
        loss_cls=dict(
            type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0
        ),
        loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9, loss_weight=1.0),
    ),
    roi_head=dict(
        type='PersonSearchRoIHead',
        bbox_roi_extractor=dict(
            type='C4RoIExtractor', output_size=14, stride=16
        ),
        shared_head=dict(
            type='ResConv5',
            depth=50,
            norm_cfg=frozen_bn,
            norm_eval=True,
            init_cfg=weights,
        ),
        bbox_head=dict(
            type='BBoxHead',
            in_channels=2048,
            roi_feat_size=1,
            num_classes=1,
            reg_class_agnostic=True,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder',
                target_means=[0.0, 0.0, 0.0, 0.0],
                target_stds=[0.1, 0.1, 0.2, 0.2],
            ),
            loss_cls=dict(
                type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0
            ),
            loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
                ignore_iof_thr=-1,
            ),
            sampler=dict(
                type='RandomSampler',
                num=256,
                pos_fraction=0.5,
                neg_pos_ub=-1,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(
            nms_pre=12000,
            max_per_img=2000,
            nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
                ignore_iof_thr=-1,
            ),
            sampler=dict(
                type='RandomSampler',
                num=128,
                pos_fraction=0.25,
                neg_pos_ub=-1,
                add_gt_as_proposals=True,
            ),
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(
            nms_pre=6000,
            max_per_img=300,
            nms=dict(type='nms', iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            # The metric cuts at 0.5; low scores are kept for AP over all.
            score_thr=0.05,
            nms=dict(type='nms', iou_threshold=0.4),
            max_per_img=100,
            reid_on='proposal',
        ),
    ),
)
