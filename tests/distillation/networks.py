"""Tiny students and teachers."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import BaseModel

from mmps.models import OIMLoss
from mmps.structures import BACKGROUND
from tests.models.build import build, model_config

PEOPLE = [[10, 10, 40, 90], [60, 5, 100, 95]]
BASES = {18: 'oim/oim_r18_tiny', 50: 'oim/oim_r50_w0.3_tiny'}
SMALL = {
    'backbone.base_channels': 8,
    'rpn_head.feat_channels': 16,
    'roi_head.bbox_roi_extractor.output_size': 4,
    'roi_head.shared_head.base_channels': 8,
    'train_cfg.rpn.sampler.num': 32,
    'train_cfg.rpn_proposal.max_per_img': 30,
    'train_cfg.rcnn.sampler.num': 16,
}
SMALL_OIM = {
    'roi_head.oim_head.feat_dim': 8,
    'roi_head.oim_head.loss_oim.num_ids': 3,
    'roi_head.oim_head.loss_oim.queue_size': 7,
}


@MODELS.register_module()
class Student(BaseModel):
    """A linear embedding with OIM; takes the place of the toy's model."""

    def __init__(self, feat_dim=6, **options):
        super().__init__()
        options = dict(num_ids=4, queue_size=5) | options
        self.backbone = torch.nn.Linear(4, feat_dim)
        self.loss_oim = OIMLoss(feat_dim=feat_dim, **options)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        x = F.normalize(self.backbone(torch.stack(inputs)), dim=1)
        if mode != 'loss':
            return list(x)
        kinds = len(self.loss_oim.table) - BACKGROUND
        ids = (torch.stack(inputs).sum(dim=1) * 97).long() % kinds
        return dict(loss_oim=self.loss_oim(x, ids + BACKGROUND))


def network_config(depth=18, oim=False, **changes):
    """Config of a model; ``changes`` has dotted keys."""
    expansion = {18: 1, 50: 4}[depth]
    model = model_config(BASES[depth])
    channels = {
        'rpn_head.in_channels': 32 * expansion,
        'roi_head.bbox_head.in_channels': 64 * expansion,
    }
    if oim:
        channels['roi_head.oim_head.in_channels'] = 64 * expansion
        channels.update(SMALL_OIM)
    else:
        model.roi_head.pop('oim_head')
    cfg = Config(dict(model=model))
    options = {**SMALL, **channels, **changes}
    cfg.merge_from_dict({f'model.{k}': v for k, v in options.items()})
    return cfg.model


def network(cfg, seed):
    """All weights random, and maps that do not vanish on the way."""
    model = build(cfg, seed)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            if module.affine:
                torch.nn.init.normal_(module.weight, mean=1.0, std=0.2)
            torch.nn.init.normal_(module.running_mean, std=0.1)
    return model


def save_teacher(folder, cfg, seed=7):
    """Path of a checkpoint of a trained teacher, as far as we care."""
    path = folder / f'teacher{seed}.pth'
    torch.save({'state_dict': network(cfg, seed).state_dict()}, path)
    return str(path)


def distiller_config(folder, teacher=None, **options):
    teacher = teacher or network_config()
    return dict(
        type='KnowledgeDistiller',
        teacher=teacher,
        checkpoint=save_teacher(folder, teacher),
        **options,
    )


def make_student(distiller, seed=1, load=True, **options):
    cfg = network_config(**options)
    if distiller is not None:
        cfg.distiller = distiller
    model = network(cfg, seed).train()
    if load and distiller is not None:
        model.distiller.load_teacher(model)
    return model
