# As light_mnv2.py, half as wide and from scratch, with the head of
# light_r18_narrow.py.
_base_ = './light_r18_narrow.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2C4',
        widen_factor=0.5,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
    ),
    rpn_head=dict(in_channels=48),
    roi_head=dict(bbox_roi_extractor=dict(in_channels=48)),
)
