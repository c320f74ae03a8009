# QEEPS50 at half width.
_base_ = './oim_r50_narrow.py'

model = dict(
    type='QEEPS',
    backbone=dict(type='QSSEResNet'),
    rpn_head=dict(type='QRPNHead'),
    roi_head=dict(type='QEEPSRoIHead', sim_head=dict(type='QSimHead')),
)
