# KD_det on synthetic data: the detector of SeqNet50 teaches OIM18.
_base_ = '../oim/oim_r18_synth.py'

model = dict(
    # the anchors of the teacher
    rpn_head=dict(anchor_generator=dict(type='RoundedAnchorGenerator')),
    roi_head=dict(bbox_roi_extractor=dict(sampling_ratio=2, aligned=False)),
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/seqnet/seqnet_r50_synth.py',
        checkpoint='work_dirs/seqnet_r50_synth/epoch_8.pth',
    ),
)
