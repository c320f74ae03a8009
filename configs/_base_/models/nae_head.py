# The head of NAE, Chen et al., CVPR 2020; a network sets its channels.
nae_head = dict(
    type='NormAwareRoIHead',
    bbox_head=dict(
        type='BNBBoxHead', with_cls=False, loss_bbox=dict(loss_weight=10.0)
    ),
    oim_head=dict(
        type='NormAwareHead',
        feat_dim=256,
        loss_oim=dict(
            type='OIMLoss', momentum=0.5, temperature=1 / 30, loss_weight=1.0
        ),
    ),
)
