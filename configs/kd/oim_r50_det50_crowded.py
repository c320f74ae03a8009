# KD_det on the crowded synthetic scenes: DET50 teaches OIM50.
_base_ = '../oim/oim_r50_crowded.py'

model = dict(
    distiller=dict(
        type='KnowledgeDistiller',
        teacher='configs/det/det_r50_crowded_3x.py',
        checkpoint='zoo://det_r50_crowded_3x',
    )
)
