"""Networks of person search."""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    identity_hook='IdentityNamesHook',
    oim_head='OIMHead',
    oim_loss='OIMLoss',
    person_search_rcnn='PersonSearchRCNN',
    person_search_roi_head='PersonSearchRoIHead',
    person_search_rpn_head='PersonSearchRPNHead',
    qeeps='QEEPS',
    qeeps_roi_head='QEEPSRoIHead',
    qrpn_head='QRPNHead',
    qsim_head='QSimHead',
    qsse_resnet='QSSEResNet',
    res_conv5='ResConv5',
    resnet_init='PretrainedResNet',
    roi_extractor='C4RoIExtractor',
    sampled_boxes='SampledBoxes',
)
