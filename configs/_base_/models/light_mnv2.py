# MobileNetV2 with the light head: 96 channels of stride 16 (ResNet-18: 256).
# As in ResNet-18, every BatchNorm and the layers up to stride 4 stay frozen.
_base_ = './light_r18.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2C4',
        frozen_stages=2,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        init_cfg=dict(
            type='PretrainedMobileNetV2',
            checkpoint='open-mmlab://mmdet/mobilenet_v2',
        ),
    ),
    rpn_head=dict(in_channels=96),
    roi_head=dict(bbox_roi_extractor=dict(in_channels=96)),
)
