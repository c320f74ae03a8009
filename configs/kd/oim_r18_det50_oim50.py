# KD_det and KD_reid on CUHK-SYSU: OIM18 from DET50 and OIM50.
_base_ = './oim_r18_oim50.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/det/det_r50.py',
        checkpoint='work_dirs/det_r50/epoch_20.pth',
    )
)
