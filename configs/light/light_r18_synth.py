# OIM18 with a light head on the synthetic benchmark.
_base_ = [
    '../_base_/models/light_r18_narrow.py',
    '../_base_/datasets/synth.py',
    '../_base_/schedules/synth.py',
    '../_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=150, queue_size=500)))
)
