# QEEPS50 on the crowded synthetic scenes, from a trained OIM50.
_base_ = [
    '../_base_/models/qeeps_r50_narrow.py',
    '../_base_/datasets/synth_crowded_pairs.py',
    '../_base_/schedules/pairs_synth.py',
    '../_base_/pair_runtime.py',
]

# people are 34 to 144 pixels high
anchors = dict(scales=[1.0, 1.6, 2.4, 3.6, 5.4])
model = dict(
    rpn_head=dict(anchor_generator=anchors),
    roi_head=dict(oim_head=dict(loss_oim=dict(num_ids=100, queue_size=500))),
)
train_dataloader = dict(dataset=dict(num_pairs=800))
load_from = 'work_dirs/oim_r50_crowded_3x/epoch_60.pth'
