# KD_det and KD_reid on PRW: OIM18 from DET50 and OIM50.
_base_ = './oim_r18_oim50_prw.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/det/det_r50_prw.py',
        checkpoint='work_dirs/det_r50_prw/epoch_18.pth',
    )
)
