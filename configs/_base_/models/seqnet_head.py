# The head of SeqNet, Li and Miao, AAAI 2021; a network sets its channels.
seqnet_head = dict(
    type='SequentialRoIHead',
    bbox_head=dict(loss_bbox=dict(loss_weight=10.0)),
    reid_bbox_head=dict(
        type='BNBBoxHead',
        with_cls=False,
        loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
    ),
    oim_head=dict(
        type='NormAwareHead',
        feat_dim=256,
        loss_oim=dict(
            type='OIMLoss', momentum=0.5, temperature=1 / 30, loss_weight=1.0
        ),
    ),
)
