# OIM50 on the crowded synthetic scenes, trained three times as long: a
# teacher.
_base_ = './oim_r50_crowded.py'

max_epochs = 60
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(**_base_.param_scheduler[1] | dict(end=max_epochs)),
]
