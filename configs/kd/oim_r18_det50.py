# KD_det on CUHK-SYSU: DET50 teaches the detector of OIM18, lambda_oim 1.0.
_base_ = '../oim/oim_r18.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/det/det_r50.py',
        checkpoint='work_dirs/det_r50/epoch_20.pth',
    )
)
