# Synthetic people in the CUHK-SYSU layout, made by tools/make_synthetic.py
# --layout cuhk-sysu --size small --seed 0 --out data/synth-small
_base_ = './scenes.py'

data_root = 'data/synth-small'
_base_.train_pipeline[3].scale = (320, 240)
_base_.test_pipeline[2].scale = (320, 240)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        type='CUHKSYSUDataset',
        data_root=data_root,
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type='CUHKSYSUDataset',
        data_root=data_root,
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = val_dataloader
