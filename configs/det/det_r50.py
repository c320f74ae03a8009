# DET50 on CUHK-SYSU.
_base_ = [
    '../_base_/models/det_r50.py',
    '../_base_/datasets/cuhk_sysu.py',
    '../_base_/schedules/epochs_20.py',
    '../_base_/default_runtime.py',
]

# no embeddings: detection figures alone
val_evaluator = dict(protocols=[])
test_evaluator = val_evaluator
