# As synth.py; 20 epochs of 300 pictures are 1500 steps.
_base_ = './synth.py'

max_epochs = 20
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(**_base_.param_scheduler[1] | dict(end=max_epochs)),
]
