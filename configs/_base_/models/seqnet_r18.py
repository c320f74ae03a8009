# SeqNet, on ResNet-18: Li and Miao, AAAI 2021.
_base_ = ['./torchvision_r18.py', './seqnet_head.py']

_base_.seqnet_head.oim_head.in_channels = (256, 512)
model = dict(
    roi_head=_base_.seqnet_head,
    test_cfg=dict(
        rcnn=dict(
            reid_on='refined',
            score='first',
            reid_nms=dict(type='nms', iou_threshold=0.5),
        )
    ),
)
