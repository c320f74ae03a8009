# Scenes with person boxes: what all data sets share. A data set says where it
# is, its type, and `scale` of both Resize.
train_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='LoadTrackAnnotations'),
    dict(type='Resize', scale=None, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPersonSearchInputs'),
]
test_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='Resize', scale=None, keep_ratio=True),
    # after Resize: annotations and queries stay in original pixels
    dict(type='LoadTrackAnnotations'),
    dict(type='PackPersonSearchInputs'),
]
train_dataloader = dict(
    batch_size=5,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline=test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='PersonSearchMetric')
test_evaluator = val_evaluator
