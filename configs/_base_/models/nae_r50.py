# NAE: Chen et al., CVPR 2020.
# RoIs that overlap a person by 0.1 to 0.5 are neither people nor background.
_base_ = ['./torchvision_r50.py', './nae_head.py']

_base_.nae_head.oim_head.in_channels = (1024, 2048)
model = dict(
    roi_head=_base_.nae_head,
    train_cfg=dict(rcnn=dict(assigner=dict(neg_iou_thr=0.1))),
)
