# OIMNet++, on ResNet-18: Lee et al., ECCV 2022.
_base_ = './torchvision_r18.py'

model = dict(
    # 8, 16 and 32 pixels
    rpn_head=dict(anchor_generator=dict(scales=[0.5, 1.0, 2.0])),
    roi_head=dict(
        oim_head=dict(
            type='OIMHead',
            in_channels=512,
            feat_dim=256,
            norm_cfg=dict(type='ProtoNorm1d', affine=False),
            loss_oim=dict(
                type='LOIMLoss', temperature=1 / 30, loss_weight=1.0
            ),
        )
    ),
)
