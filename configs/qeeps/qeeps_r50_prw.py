# QEEPS50 on PRW, from a trained OIM50.
_base_ = [
    '../_base_/models/qeeps_r50.py',
    '../_base_/datasets/prw_pairs.py',
    '../_base_/schedules/pairs.py',
    '../_base_/pair_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=483, queue_size=500)))
)
load_from = 'work_dirs/oim_r50_prw/epoch_18.pth'
# batches of 2 pairs at the same learning rate: this project's choice
auto_scale_lr = dict(base_batch_size=2)
