# KD_reid on PRW: QEEPS18 against the frozen table of OIM50.
_base_ = '../qeeps/qeeps_r18_prw.py'

model = dict(roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))))
custom_hooks = [
    dict(type='FrozenLUTHook', teacher='work_dirs/oim_r50_prw/epoch_18.pth')
]
# This project's choice: a start that has learnt against this very table.
load_from = 'work_dirs/oim_r18_oim50_prw/epoch_18.pth'
