# KD_reid on CUHK-SYSU: OIM18 with a light head against the frozen table
# of QEEPS50, lambda_oim 0.1.
_base_ = '../light/light_r18.py'

custom_hooks = [
    dict(type='FrozenLUTHook', teacher='work_dirs/qeeps_r50/epoch_2.pth')
]
model = dict(roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))))
