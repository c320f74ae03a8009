"""Networks of person search."""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    bn_bbox_head='BNBBoxHead',
    identity_hook='IdentityNamesHook',
    loim_loss='LOIMLoss',
    mobilenet_c4='MobileNetV2C4',
    norm_aware_head='NormAwareHead',
    norm_aware_roi_head='NormAwareRoIHead',
    oim_head='OIMHead',
    oim_loss='OIMLoss',
    person_search_rcnn='PersonSearchRCNN',
    person_search_roi_head='PersonSearchRoIHead',
    person_search_rpn_head='PersonSearchRPNHead',
    pretrained_init='PretrainedMobileNetV2 PretrainedResNet',
    proto_norm='ProtoNorm1d',
    qeeps='QEEPS',
    qeeps_roi_head='QEEPSRoIHead',
    qrpn_head='QRPNHead',
    qsim_head='QSimHead',
    qsse_resnet='QSSEResNet',
    res_conv5='ResConv5',
    roi_extractor='C4RoIExtractor',
    rounded_anchors='RoundedAnchorGenerator',
    sampled_boxes='SampledBoxes',
    sequential_roi_head='SequentialRoIHead',
    thin_roi_extractor='ThinRoIExtractor',
    two_fc_head='TwoFCHead',
)
