# QEEPS50 on CUHK-SYSU, from a trained OIM50.
_base_ = [
    '../_base_/models/qeeps_r50.py',
    '../_base_/datasets/cuhk_sysu_pairs.py',
    '../_base_/schedules/pairs.py',
    '../_base_/pair_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=5532, queue_size=5000)))
)
load_from = 'work_dirs/oim_r50/epoch_20.pth'
