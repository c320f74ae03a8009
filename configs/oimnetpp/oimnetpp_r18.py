# OIMNet++ on CUHK-SYSU, ResNet-18.
_base_ = [
    '../_base_/models/oimnetpp_r18.py',
    '../_base_/datasets/cuhk_sysu_900.py',
    '../_base_/schedules/epochs_20.py',
    '../_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=5532, queue_size=5000)))
)
