# KD_reid on synthetic data: QEEPS50 against the frozen table of QEEPS50.
_base_ = '../qeeps/qeeps_r50_synth.py'

model = dict(roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))))
custom_hooks = [dict(type='FrozenLUTHook', teacher='zoo://qeeps_r50_synth')]
# This project's choice: a start that has learnt against this very table.
load_from = 'work_dirs/oim_r50_qeeps50_synth/epoch_8.pth'
