# QEEPS50 at half width, as qeeps_r50.py.
_base_ = './oim_r50_narrow.py'

model = dict(
    type='QEEPS',
    backbone=dict(type='QSSEResNet'),
    rpn_head=dict(type='QRPNHead', num_samples=16, other_people_first=True),
    roi_head=dict(type='QEEPSRoIHead', sim_head=dict(type='QSimHead')),
)
