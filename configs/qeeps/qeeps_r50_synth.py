# QEEPS50 on the synthetic benchmark, from a trained OIM50.
_base_ = [
    '../_base_/models/qeeps_r50_narrow.py',
    '../_base_/datasets/synth_pairs.py',
    '../_base_/schedules/pairs_synth.py',
    '../_base_/pair_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=150, queue_size=500)))
)
train_dataloader = dict(dataset=dict(num_pairs=800))
load_from = 'work_dirs/oim_r50_synth/epoch_8.pth'
