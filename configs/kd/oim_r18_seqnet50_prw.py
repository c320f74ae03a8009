# KD_reid on PRW: OIM18 against the frozen table of SeqNet50.
_base_ = '../oim/oim_r18_w0.1_prw.py'

custom_hooks = [
    dict(
        type='FrozenLUTHook',
        teacher='work_dirs/seqnet_r50_prw/epoch_18.pth',
    )
]
