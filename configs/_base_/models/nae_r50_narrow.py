# NAE, half as wide and from scratch: Chen et al., CVPR 2020.
# RoIs that overlap a person by 0.1 to 0.5 are neither people nor background.
_base_ = './torchvision_r50_narrow.py'

model = dict(
    roi_head=dict(
        type='NormAwareRoIHead',
        bbox_head=dict(
            type='BNBBoxHead', with_cls=False, loss_bbox=dict(loss_weight=10.0)
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
    train_cfg=dict(rcnn=dict(assigner=dict(neg_iou_thr=0.1))),
)
