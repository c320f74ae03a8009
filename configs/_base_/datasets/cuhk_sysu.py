# CUHK-SYSU: shorter side 600, longer at most 1000 (Xiao et al., 2017).
data_root = 'data/cuhk-sysu'
train_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='LoadTrackAnnotations'),
    dict(type='Resize', scale=(1000, 600), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPersonSearchInputs'),
]
test_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='Resize', scale=(1000, 600), keep_ratio=True),
    # after Resize: annotations and queries stay in original pixels
    dict(type='LoadTrackAnnotations'),
    dict(type='PackPersonSearchInputs'),
]
train_dataloader = dict(
    batch_size=5,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # 600 x 1000 beside 1000 x 600 would be padded to 1000 x 1000
    batch_sampler=dict(type='OrientationBatchSampler'),
    dataset=dict(
        type='CUHKSYSUDataset',
        data_root=data_root,
        split='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
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
