"""Small networks and scenes for the tests of the models."""

from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmps.structures import UNLABELED

CONFIGS = Path(__file__).parents[2] / 'configs'
DefaultScope.get_instance('tests', scope_name='mmdet')


def model_config(name='oim/oim_r18_tiny'):
    return Config.fromfile(CONFIGS / f'{name}.py').model


def build(cfg=None, seed=0):
    """A network with random weights only, so that nothing is zero."""
    torch.manual_seed(seed)
    model = MODELS.build(cfg or model_config())
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    for name, buffer in model.named_buffers():
        if name.endswith('table'):
            buffer.copy_(
                torch.nn.functional.normalize(torch.randn_like(buffer))
            )
    return model


def scene(bboxes, ids=None, shape=(96, 128), scale=1.0, seed=0):
    """One input image and its sample.

    ``bboxes`` are stored as given: in input pixels for training, in original
    pixels for testing, where ``scale`` is input over original.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = shape
    image = torch.randint(0, 256, (3, height, width), generator=generator)
    sample = DetDataSample(
        metainfo=dict(
            img_id=seed,
            img_path=f'{seed}.jpg',
            img_shape=shape,
            ori_shape=(round(height / scale), round(width / scale)),
            scale_factor=(scale, scale),
        )
    )
    bboxes = torch.tensor(bboxes, dtype=torch.float32).view(-1, 4)
    if ids is None:
        ids = [UNLABELED] * len(bboxes)
    sample.gt_instances = InstanceData(
        bboxes=bboxes,
        labels=torch.zeros(len(bboxes), dtype=torch.long),
        instances_ids=torch.tensor(ids, dtype=torch.long),
    )
    return image.to(torch.uint8), sample


def batch(model, *scenes, training):
    images, samples = zip(*scenes, strict=True)
    data = dict(inputs=list(images), data_samples=list(samples))
    data = model.data_preprocessor(data, training)
    return data['inputs'], data['data_samples']
