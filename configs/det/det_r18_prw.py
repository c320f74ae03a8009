# DET18 on PRW.
_base_ = [
    '../_base_/models/det_r18.py',
    '../_base_/datasets/prw.py',
    '../_base_/schedules/epochs_20.py',
    '../_base_/default_runtime.py',
]
