# KD_reid on synthetic data: OIM18 against the frozen table of SeqNet50.
_base_ = '../oim/oim_r18_w0.1_synth.py'

custom_hooks = [
    dict(
        type='FrozenLUTHook',
        teacher='work_dirs/seqnet_r50_synth/epoch_8.pth',
    )
]
