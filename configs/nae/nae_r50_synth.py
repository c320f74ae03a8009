# NAE on the synthetic benchmark, ResNet-50.
_base_ = [
    '../_base_/models/nae_r50_narrow.py',
    '../_base_/datasets/synth.py',
    '../_base_/schedules/synth.py',
    '../_base_/default_runtime.py',
]

model = dict(
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=150, queue_size=500)))
)
