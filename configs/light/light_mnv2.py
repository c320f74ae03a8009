# MobileNetV2 with a light head on CUHK-SYSU.
_base_ = [
    '../_base_/models/light_mnv2.py',
    '../_base_/datasets/cuhk_sysu.py',
    '../_base_/schedules/epochs_20.py',
    '../_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=5532, queue_size=5000)))
)
