# KD_det and KD_reid on synthetic data: SeqNet50 teaches OIM18.
_base_ = './oim_r18_seqnetdet50_synth.py'

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))),
)
custom_hooks = [
    dict(
        type='FrozenLUTHook',
        teacher='work_dirs/seqnet_r50_synth/epoch_8.pth',
    )
]
