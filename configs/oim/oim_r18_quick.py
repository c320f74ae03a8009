# OIM18 of the quick start: 12 epochs, from a detector of other people.
_base_ = './oim_r18_w0.3_tiny.py'

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(**_base_.param_scheduler[1] | dict(end=max_epochs)),
]
load_from = 'zoo://det_r18_others'
default_hooks = dict(strict_load=dict(allow=['roi_head.oim_head.']))
