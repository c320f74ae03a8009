# OIM18 whose BatchNorms of conv5 train, with one behind the embedding.
_base_ = './oim_r18.py'

model = dict(
    roi_head=dict(
        shared_head=dict(
            norm_cfg=dict(type='BN', requires_grad=True), norm_eval=False
        ),
        oim_head=dict(norm_cfg=dict(type='BN1d')),
    )
)
