# KD_reid on synthetic data: OIM50 against the frozen table of QEEPS50.
_base_ = '../oim/oim_r50_w0.1_synth.py'

custom_hooks = [dict(type='FrozenLUTHook', teacher='zoo://qeeps_r50_synth')]
