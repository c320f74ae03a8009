# KD_det on synthetic data: the detector of SeqNet50 teaches SeqNet18.
_base_ = '../seqnet/seqnet_r18_synth.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/seqnet/seqnet_r50_synth.py',
        checkpoint='work_dirs/seqnet_r50_synth/epoch_8.pth',
    ),
)
