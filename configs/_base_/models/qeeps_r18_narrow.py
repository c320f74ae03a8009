# QEEPS18 at half width. Its short training (800 steps) needs gates that start
# near 1, and a QRPN that sees few easy anchors, or it never tells people apart
# (docs/results.md).
_base_ = './oim_r18_narrow.py'

model = dict(
    type='QEEPS',
    backbone=dict(type='QSSEResNet'),
    rpn_head=dict(type='QRPNHead', num_samples=16, other_people_first=True),
    roi_head=dict(type='QEEPSRoIHead', sim_head=dict(type='QSimHead')),
)
