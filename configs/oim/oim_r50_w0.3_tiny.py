# OIM50 on what the quick start draws: the teacher of its student.
_base_ = [
    '../_base_/models/oim_r50_narrow.py',
    '../_base_/datasets/synth_tiny.py',
    '../_base_/schedules/synth_tiny.py',
    '../_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(
        oim_head=dict(
            loss_oim=dict(num_ids=80, queue_size=500, loss_weight=0.3)
        )
    )
)
