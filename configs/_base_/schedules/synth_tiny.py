_base_ = './synth.py'

max_epochs = 21
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.015,
        begin=0,
        end=1,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        begin=1,
        end=max_epochs,
        eta_min=0.0,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
