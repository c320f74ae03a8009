# SeqNet, half as wide and from scratch: Li and Miao, AAAI 2021.
_base_ = ['./torchvision_r18_narrow.py', './seqnet_head.py']

_base_.seqnet_head.oim_head.in_channels = (128, 256)
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
