# KD_det on CUHK-SYSU: the detector of SeqNet50 teaches SeqNet18.
_base_ = '../seqnet/seqnet_r18.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/seqnet/seqnet_r50.py',
        checkpoint='work_dirs/seqnet_r50/epoch_20.pth',
    ),
)
