# OIM18 for data sets of photos, in small: backbone and conv5 start from a
# network that was trained on other people (the checkpoint is set by the plan),
# heads from scratch; BatchNorm of both stays what it was.
_base_ = '../../configs/oim/oim_r18_synth.py'

frozen_bn = dict(type='BN', requires_grad=False)
model = dict(
    backbone=dict(
        frozen_stages=1,
        norm_cfg=frozen_bn,
        norm_eval=True,
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='',
            prefix='backbone.',
        ),
    ),
    roi_head=dict(
        shared_head=dict(
            norm_cfg=frozen_bn,
            norm_eval=True,
            init_cfg=dict(
                _delete_=True,
                type='Pretrained',
                checkpoint='',
                prefix='roi_head.shared_head.',
            ),
        ),
    ),
)
# a third of the rate from scratch, half the epochs
optim_wrapper = dict(optimizer=dict(lr=0.02))
max_epochs = 4
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(**_base_.param_scheduler[1] | dict(end=max_epochs)),
]
