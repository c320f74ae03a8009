# KD_det on synthetic data: DET50 teaches OIM18, lambda_oim 1.0.
_base_ = '../oim/oim_r18_synth.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/det/det_r50_synth.py',
        checkpoint='work_dirs/det_r50_synth/epoch_8.pth',
    )
)
