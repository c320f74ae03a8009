# KD_reid on PRW: OIM50 against the frozen table of QEEPS50.
_base_ = '../oim/oim_r50_w0.1_prw.py'

custom_hooks = [
    dict(type='FrozenLUTHook', teacher='work_dirs/qeeps_r50_prw/epoch_2.pth')
]
