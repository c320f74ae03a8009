# Small people in groups, at dusk: tools/make_synthetic.py --layout cuhk-sysu
# --size small --scenes crowded --seed 0 --out data/synth-crowded
_base_ = './synth.py'

data_root = 'data/synth-crowded'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
