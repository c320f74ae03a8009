# KD_det on PRW: the detector of SeqNet50 teaches SeqNet18.
_base_ = '../seqnet/seqnet_r18_prw.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/seqnet/seqnet_r50_prw.py',
        checkpoint='work_dirs/seqnet_r50_prw/epoch_18.pth',
    ),
)
