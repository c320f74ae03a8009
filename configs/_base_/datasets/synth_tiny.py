# What the quick start makes: tools/make_synthetic.py --layout cuhk-sysu
# --size tiny --seed 0 --out data/synth-tiny
_base_ = './synth.py'

data_root = 'data/synth-tiny'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
