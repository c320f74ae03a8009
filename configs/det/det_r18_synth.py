# DET18 on the synthetic benchmark.
_base_ = [
    '../_base_/models/det_r18_narrow.py',
    '../_base_/datasets/synth.py',
    '../_base_/schedules/synth.py',
    '../_base_/default_runtime.py',
]

# no embeddings: detection figures alone
val_evaluator = dict(protocols=[])
test_evaluator = val_evaluator
