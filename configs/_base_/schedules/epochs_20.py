# Twenty epochs of SGD at 0.003 for batches of 5, a tenth after epoch 16, with
# one epoch of warm-up: the usual schedule of open person search code
# (SeqNet, 2021). Munjal et al. do not print theirs.
train_cfg = dict(type='ResumableTrainLoop', max_epochs=20, val_interval=20)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.003, momentum=0.9, weight_decay=5e-4),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        begin=0,
        end=1,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(type='MultiStepLR', milestones=[16], gamma=0.1, by_epoch=True),
]
# --auto-scale-lr multiplies lr by (GPUs * images per GPU) / base_batch_size
auto_scale_lr = dict(enable=False, base_batch_size=5)
