# As light_r18.py, half as wide and from scratch, on the 8 x 8 cells of
# oim_r18_narrow.py.
_base_ = './oim_r18_narrow.py'

model = dict(
    roi_head=dict(
        bbox_roi_extractor=dict(
            type='ThinRoIExtractor',
            in_channels=128,
            out_channels=32,
            norm_cfg=dict(type='BN'),
        ),
        shared_head=dict(
            _delete_=True,
            type='TwoFCHead',
            in_channels=32,
            roi_feat_size=8,
            hidden_channels=512,
            out_channels=256,
            norm_cfg=dict(type='BN1d'),
        ),
    )
)
