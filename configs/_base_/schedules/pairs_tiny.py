# As pairs_synth.py, for 400 iterations of 4 pairs. Not tuned.
_base_ = './pairs.py'

optim_wrapper = dict(optimizer=dict(lr=0.02))
