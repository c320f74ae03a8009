# KD_det on CUHK-SYSU: the detector of SeqNet50 teaches OIM18 at 900 pixels.
_base_ = '../oim/oim_r18_900.py'

model = dict(
    # the anchors of the teacher
    rpn_head=dict(anchor_generator=dict(type='RoundedAnchorGenerator')),
    roi_head=dict(bbox_roi_extractor=dict(sampling_ratio=2, aligned=False)),
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/seqnet/seqnet_r50.py',
        checkpoint='work_dirs/seqnet_r50/epoch_20.pth',
    ),
)
