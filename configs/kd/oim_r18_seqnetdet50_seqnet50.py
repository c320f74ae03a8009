# KD_det and KD_reid on CUHK-SYSU: SeqNet50 teaches OIM18 at 900 pixels.
_base_ = './oim_r18_seqnetdet50.py'

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))),
)
custom_hooks = [
    dict(
        type='FrozenLUTHook',
        teacher='work_dirs/seqnet_r50/epoch_20.pth',
    )
]
