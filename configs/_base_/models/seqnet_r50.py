# SeqNet: Li and Miao, AAAI 2021.
_base_ = ['./torchvision_r50.py', './seqnet_head.py']

_base_.seqnet_head.oim_head.in_channels = (1024, 2048)
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
