"""Networks of the field with random weights, and what the reference finds."""

import torch
from torch import nn

from tests.models import published_reference as reference
from tests.models.build import batch, build, model_config, scene

NAMES = ['oimnetpp', 'nae', 'seqnet']
BOXES = [[10, 10, 40, 85], [60, 5, 95, 90]]


def network(name, depth=18, seed=0):
    """Random weights, and statistics near those of the pictures."""
    cfg = model_config(f'{name}/{name}_r{depth}_synth')
    cfg.test_cfg.rpn.update(nms_pre=60, max_per_img=12)
    cfg.test_cfg.rcnn.update(score_thr=0.5, max_per_img=6)
    model = build(cfg, seed)
    norms = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            norms.append(module)
            module.momentum = 1.0
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
    # small enough that boxes stay near their proposals
    for part in (model.rpn_head.rpn_reg, model.roi_head.bbox_head.fc_reg):
        nn.init.normal_(part.weight, std=0.02)
    model.train()
    with torch.no_grad():
        model.loss(*pictures(model.double(), training=True))
        for module in norms:
            module.running_var *= 0.8 + 0.4 * torch.rand_like(
                module.running_var
            )
            module.running_mean += 0.02 * torch.randn_like(module.running_mean)
    return spread_scores(model.eval())


@torch.no_grad()
def spread_scores(model):
    """Centre what scores are made of, so that about half pass 0.5."""
    head = model.roi_head
    seen = []
    part = getattr(head.oim_head, 'rescale', None)
    if hasattr(head.bbox_head, 'fc_cls'):
        part = head.bbox_head.fc_cls
        part.weight.mul_(0.05)
    hook = part.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    model.predict(*pictures(model))
    hook.remove()
    seen = torch.cat(seen)
    if isinstance(part, nn.BatchNorm1d):
        part.running_mean.copy_(seen.mean(dim=0))
        part.running_var.copy_(seen.var(dim=0))
    else:
        part.bias.sub_(part(seen).mean(dim=0))
    return model


def pictures(model, training=False):
    """Two of different size, so that the first one is padded in the batch."""
    scenes = [
        scene(BOXES, [3, -1], shape=(96, 112)),
        scene(BOXES[:1], [5], shape=(112, 128), seed=1),
    ]
    inputs, samples = batch(model, *scenes, training=training)
    return inputs.double(), samples


def expected(name, model, inputs, samples):
    """Of each picture: people, and embeddings of the given boxes.

    The reference sees each picture alone, without the padding of the batch.
    """
    weights = {
        key: value.double() if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }
    scales = model.rpn_head.prior_generator.scales.tolist()
    anchors = reference.base_anchors(scales, [2.5])
    options = dict(threshold=0.5, nms_at=0.4, most=6)
    found = []
    for picture, sample in zip(inputs.double(), samples, strict=True):
        size = sample.metainfo['img_shape']
        height, width = sample.metainfo['pad_shape']
        alone = picture[None, :, :height, :width]
        [feature] = reference.c4(alone, weights)
        boxes = reference.proposals(
            feature, weights, anchors, *size, model.test_cfg.rpn
        )
        people = getattr(reference, name)(
            feature, boxes, weights, 8, *size, options
        )
        given = sample.gt_instances.bboxes.tolist()
        found.append(
            (people, reference.given(name, feature, given, weights, 8))
        )
    return found
