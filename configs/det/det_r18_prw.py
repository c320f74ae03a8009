# DET18 on PRW.
_base_ = [
    '../_base_/models/det_r18.py',
    '../_base_/datasets/prw.py',
    '../_base_/schedules/epochs_18.py',
    '../_base_/default_runtime.py',
]

# no embeddings: detection figures alone
val_evaluator = dict(protocols=[])
test_evaluator = val_evaluator
