# KD_reid on CUHK-SYSU: SeqNet18 against the frozen table of SeqNet50.
_base_ = '../seqnet/seqnet_r18.py'

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))),
)
custom_hooks = [
    dict(
        type='FrozenLUTHook',
        teacher='work_dirs/seqnet_r50/epoch_20.pth',
    )
]
