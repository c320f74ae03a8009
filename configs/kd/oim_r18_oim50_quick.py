# What the quick start trains: OIM18 against the frozen table of an OIM50,
# lambda_oim 0.3.
_base_ = '../oim/oim_r18_quick.py'

# configs/kd/README.md has the commands that made the table
custom_hooks = [
    dict(type='FrozenLUTHook', teacher='configs/kd/oim_r50_tiny_lut.pth')
]
