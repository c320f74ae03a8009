# QEEPS18 on the tiny data, from a trained OIM18.
_base_ = [
    '../_base_/models/qeeps_r18_narrow.py',
    '../_base_/datasets/synth_tiny_pairs.py',
    '../_base_/schedules/pairs_tiny.py',
    '../_base_/pair_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=80, queue_size=500)))
)
train_dataloader = dict(dataset=dict(num_pairs=800))
load_from = 'work_dirs/oim_r18_w0.3_tiny/epoch_21.pth'
