# DET18: 256 channels after conv4, 512 after conv5 (ResNet-50: 1024, 2048).
_base_ = './det_r50.py'

weights = dict(type='PretrainedResNet', checkpoint='torchvision://resnet18')
model = dict(
    backbone=dict(depth=18, init_cfg=weights),
    rpn_head=dict(in_channels=256, feat_channels=256),
    roi_head=dict(
        shared_head=dict(depth=18, init_cfg=weights),
        bbox_head=dict(in_channels=512),
    ),
)
