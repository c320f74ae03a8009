# OIM18 on what the quick start draws. Of an image 20 RoIs are enough, which
# takes a fifth off a step on a CPU (docs/results.md).
_base_ = [
    '../_base_/models/oim_r18_narrow.py',
    '../_base_/datasets/synth_tiny.py',
    '../_base_/schedules/synth_tiny.py',
    '../_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=80, queue_size=500))),
    train_cfg=dict(rcnn=dict(sampler=dict(num=20))),
)
