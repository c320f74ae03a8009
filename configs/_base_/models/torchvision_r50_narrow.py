# As torchvision_r18_narrow.py, with the blocks of a ResNet-50.
_base_ = './torchvision_r18_narrow.py'

model = dict(
    backbone=dict(depth=50),
    rpn_head=dict(in_channels=512),
    roi_head=dict(
        shared_head=dict(depth=50), bbox_head=dict(in_channels=1024)
    ),
)
