# OIM18 with a light head: a 1 x 1 convolution on the map, and two fully
# connected layers on 8 x 8 cells in place of conv5 on 14 x 14.
_base_ = './oim_r18.py'

model = dict(
    roi_head=dict(
        bbox_roi_extractor=dict(
            type='ThinRoIExtractor',
            in_channels=256,
            out_channels=64,
            output_size=8,
        ),
        shared_head=dict(
            _delete_=True,
            type='TwoFCHead',
            in_channels=64,
            roi_feat_size=8,
            hidden_channels=1024,
            out_channels=512,
        ),
    )
)
