# DET18 on other people and scenes than those of the quick start, which starts
# from it: tools/make_synthetic.py --layout cuhk-sysu --size small --seed 1
# --out data/synth-others
_base_ = './det_r18_synth.py'

data_root = 'data/synth-others'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
