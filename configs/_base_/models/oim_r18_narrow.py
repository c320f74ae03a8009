# As oim_r18.py, on the narrow detector. From scratch, embeddings need
# batch normalisation (docs/results.md).
_base_ = './det_r18_narrow.py'

model = dict(
    roi_head=dict(
        oim_head=dict(
            type='OIMHead',
            in_channels=256,
            feat_dim=256,
            norm_cfg=dict(type='BN1d'),
            loss_oim=dict(
                type='OIMLoss', momentum=0.5, temperature=0.1, loss_weight=1.0
            ),
        )
    )
)
