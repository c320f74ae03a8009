# QEEPS50: OIM50 that sees pairs. All but the query-guided parts is read from a
# trained OIM50 (load_from), which leaves nothing to take from ImageNet. The
# QRPN sees few easy anchors, or it never tells people apart (docs/qeeps.md).
_base_ = './oim_r50.py'

model = dict(
    type='QEEPS',
    backbone=dict(type='QSSEResNet', init_cfg=None),
    rpn_head=dict(type='QRPNHead', num_samples=16, other_people_first=True),
    roi_head=dict(
        type='QEEPSRoIHead',
        shared_head=dict(init_cfg=None),
        sim_head=dict(type='QSimHead'),
    ),
)
