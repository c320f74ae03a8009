# OIM50: the detector with a re-identification branch. num_ids and queue_size
# belong to the data set and are set beside it.
_base_ = './det_r50.py'

model = dict(
    roi_head=dict(
        oim_head=dict(
            type='OIMHead',
            in_channels=2048,
            feat_dim=256,
            loss_oim=dict(
                type='OIMLoss', momentum=0.5, temperature=0.1, loss_weight=1.0
            ),
        )
    )
)
