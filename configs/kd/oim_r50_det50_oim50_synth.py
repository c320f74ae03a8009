# KD_det and KD_reid on synthetic data: OIM50 from DET50 and OIM50.
_base_ = './oim_r50_oim50_synth.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/det/det_r50_synth.py',
        checkpoint='work_dirs/det_r50_synth/epoch_8.pth',
    )
)
