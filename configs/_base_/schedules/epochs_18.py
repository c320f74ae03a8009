# PRW, as SeqNet (2021): eighteen epochs.
_base_ = './epochs_20.py'

train_cfg = dict(max_epochs=18, val_interval=18)
