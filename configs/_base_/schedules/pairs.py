# From a trained OIM network: one pass over the pairs at 0.001 and one at a
# tenth, 500 steps of warm-up. The papers leave it open: this project's choice.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=2)
# single images, as the plain network embeds them: costs one pass
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='PairTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=5e-4),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, begin=0, end=500, by_epoch=False
    ),
    dict(type='MultiStepLR', milestones=[1], gamma=0.1, by_epoch=True),
]
# pairs of an iteration, not images
auto_scale_lr = dict(enable=False, base_batch_size=4)
