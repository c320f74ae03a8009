# KD_det on PRW: DET50 teaches the detector of OIM18, lambda_oim 0.6.
_base_ = '../oim/oim_r18_w0.6_prw.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/det/det_r50_prw.py',
        checkpoint='work_dirs/det_r50_prw/epoch_18.pth',
    )
)
