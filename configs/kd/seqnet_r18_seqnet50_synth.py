# KD_reid on synthetic data: SeqNet18 against the frozen table of SeqNet50.
_base_ = '../seqnet/seqnet_r18_synth.py'

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))),
)
custom_hooks = [
    dict(
        type='FrozenLUTHook',
        teacher='work_dirs/seqnet_r50_synth/epoch_8.pth',
    )
]
