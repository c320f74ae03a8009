# From a trained OIM network, a third of whose learning rate this is: warm-up
# over a sixteenth of the iterations, then a cosine to zero. The papers leave
# it open: this project's choice, measured on synthetic data (docs/qeeps.md).
max_epochs = 2
train_cfg = dict(
    type='ResumableTrainLoop', max_epochs=max_epochs, val_interval=max_epochs
)
# single images: costs one pass
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='PairTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=5e-4),
    clip_grad=dict(max_norm=10.0),
    # What is new has less time than what is not. Weight decay would pull
    # gates back to what they start from.
    paramwise_cfg=dict(
        custom_keys={
            'backbone.gates': dict(lr_mult=3.0, decay_mult=0.0),
            'rpn_head.gate': dict(lr_mult=5.0, decay_mult=0.0),
            'rpn_head.qrpn_': dict(lr_mult=5.0),
        }
    ),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        begin=0,
        end=max_epochs / 16,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=max_epochs,
        eta_min=0.0,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
# pairs of an iteration, not images
auto_scale_lr = dict(enable=False, base_batch_size=4)
