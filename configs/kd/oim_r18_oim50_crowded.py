# KD_reid on the crowded synthetic scenes: OIM18 against the frozen table of
# OIM50, lambda_oim 0.1.
_base_ = '../oim/oim_r18_crowded.py'

custom_hooks = [dict(type='FrozenLUTHook', teacher='zoo://oim_r50_crowded_3x')]
model = dict(roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))))
