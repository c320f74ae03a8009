# As torchvision_r50.py, on ResNet-18.
_base_ = './torchvision_r50.py'

weights = dict(type='PretrainedResNet', checkpoint='torchvision://resnet18')
model = dict(
    backbone=dict(depth=18, init_cfg=weights),
    rpn_head=dict(in_channels=256, feat_channels=256),
    roi_head=dict(
        shared_head=dict(depth=18, init_cfg=weights),
        bbox_head=dict(in_channels=512),
    ),
)
