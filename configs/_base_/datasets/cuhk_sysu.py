# CUHK-SYSU: shorter side 600, longer at most 1000 (Xiao et al., 2017).
_base_ = './scenes.py'

data_root = 'data/cuhk-sysu'
_base_.train_pipeline[3].scale = (1000, 600)
_base_.test_pipeline[2].scale = (1000, 600)
train_dataloader = dict(
    # 600 x 1000 beside 1000 x 600 would be padded to 1000 x 1000
    batch_sampler=dict(type='OrientationBatchSampler'),
    dataset=dict(
        type='CUHKSYSUDataset',
        data_root=data_root,
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='CUHKSYSUDataset',
        data_root=data_root,
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = val_dataloader
