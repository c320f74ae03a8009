# DET18 on the crowded synthetic scenes.
_base_ = [
    '../_base_/models/det_r18_narrow.py',
    '../_base_/datasets/synth_crowded.py',
    '../_base_/schedules/crowded.py',
    '../_base_/default_runtime.py',
]

# people are 34 to 144 pixels high
anchors = dict(scales=[1.0, 1.6, 2.4, 3.6, 5.4])
model = dict(rpn_head=dict(anchor_generator=anchors))
# no embeddings: detection figures alone
val_evaluator = dict(protocols=[])
test_evaluator = val_evaluator
