# Drawn people in the CUHK-SYSU layout, made by tools/make_synthetic.py
# --layout cuhk-sysu --size small --seed 0 --out data/synth-small
data_root = 'data/synth-small'
train_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='LoadTrackAnnotations'),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPersonSearchInputs'),
]
test_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    # after Resize: annotations and queries stay in original pixels
    dict(type='LoadTrackAnnotations'),
    dict(type='PackPersonSearchInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CUHKSYSUDataset',
        data_root=data_root,
        split='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CUHKSYSUDataset',
        data_root=data_root,
        split='test',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='PersonSearchMetric')
test_evaluator = val_evaluator
