# KD_det and KD_reid on PRW: SeqNet50 teaches OIM18.
_base_ = './oim_r18_seqnetdet50_prw.py'

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))),
)
custom_hooks = [
    dict(
        type='FrozenLUTHook',
        teacher='work_dirs/seqnet_r50_prw/epoch_18.pth',
    )
]
