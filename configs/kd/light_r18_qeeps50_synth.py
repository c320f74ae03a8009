# KD_reid on synthetic data: OIM18 with a light head against the frozen
# table of QEEPS50, lambda_oim 0.1.
_base_ = '../light/light_r18_synth.py'

custom_hooks = [dict(type='FrozenLUTHook', teacher='zoo://qeeps_r50_synth')]
model = dict(roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))))
