"""Networks of person search."""

from .identity_hook import IdentityNamesHook
from .oim_head import OIMHead
from .oim_loss import OIMLoss
from .person_search_rcnn import PersonSearchRCNN
from .person_search_roi_head import PersonSearchRoIHead
from .person_search_rpn_head import PersonSearchRPNHead
from .qeeps import QEEPS
from .qeeps_roi_head import QEEPSRoIHead
from .qrpn_head import QRPNHead
from .qsim_head import QSimHead
from .qsse_resnet import QSSEResNet
from .res_conv5 import ResConv5
from .resnet_init import PretrainedResNet
from .roi_extractor import C4RoIExtractor
from .sampled_boxes import SampledBoxes

__all__ = [
    'QEEPS',
    'C4RoIExtractor',
    'IdentityNamesHook',
    'OIMHead',
    'OIMLoss',
    'PersonSearchRCNN',
    'PersonSearchRPNHead',
    'PersonSearchRoIHead',
    'PretrainedResNet',
    'QEEPSRoIHead',
    'QRPNHead',
    'QSSEResNet',
    'QSimHead',
    'ResConv5',
    'SampledBoxes',
]
