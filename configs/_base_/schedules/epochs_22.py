# As NAE (2020): twenty-two epochs.
_base_ = './epochs_20.py'

train_cfg = dict(max_epochs=22, val_interval=22)
