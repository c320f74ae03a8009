# KD_reid on synthetic data: OIM18 against the frozen table of OIM50.
_base_ = '../oim/oim_r18_w0.1_synth.py'

custom_hooks = [dict(type='FrozenLUTHook', teacher='zoo://oim_r50_synth')]
