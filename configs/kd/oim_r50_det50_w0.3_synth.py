# KD_det on synthetic data: DET50 teaches OIM50, lambda_oim 0.3.
_base_ = '../oim/oim_r50_w0.3_synth.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/det/det_r50_synth.py',
        checkpoint='work_dirs/det_r50_synth/epoch_8.pth',
    )
)
