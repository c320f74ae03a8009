# KD_det and KD_reid on the crowded synthetic scenes: OIM18 from DET50 and
# OIM50, lambda_oim 0.1.
_base_ = './oim_r18_oim50_crowded.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/det/det_r50_crowded_3x.py',
        checkpoint='zoo://det_r50_crowded_3x',
    )
)
