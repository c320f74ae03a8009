# PRW: shorter side 900, longer at most 1500.
_base_ = './scenes.py'

data_root = 'data/prw'
_base_.train_pipeline[3].scale = (1500, 900)
_base_.test_pipeline[2].scale = (1500, 900)
train_dataloader = dict(
    dataset=dict(
        type='PRWDataset',
        data_root=data_root,
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='PRWDataset',
        data_root=data_root,
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = val_dataloader
