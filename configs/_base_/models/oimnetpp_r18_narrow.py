# OIMNet++, half as wide and from scratch: Lee et al., ECCV 2022.
_base_ = './torchvision_r18_narrow.py'

model = dict(
    roi_head=dict(
        oim_head=dict(
            type='OIMHead',
            in_channels=256,
            feat_dim=256,
            norm_cfg=dict(type='ProtoNorm1d', affine=False),
            loss_oim=dict(
                type='LOIMLoss', temperature=1 / 30, loss_weight=1.0
            ),
        )
    ),
)
