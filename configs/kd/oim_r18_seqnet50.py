# KD_reid on CUHK-SYSU: OIM18 against the frozen table of SeqNet50.
_base_ = '../oim/oim_r18_w0.1.py'

custom_hooks = [
    dict(
        type='FrozenLUTHook',
        teacher='work_dirs/seqnet_r50/epoch_20.pth',
    )
]
