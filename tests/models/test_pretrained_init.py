import re
from pathlib import Path

import pytest
import torch
from mmdet.models.backbones import MobileNetV2, ResNet
from mmengine.config import Config

from mmps.errors import InputError
from mmps.models import (
    MobileNetV2C4,
    PretrainedMobileNetV2,
    PretrainedResNet,
    ResConv5,
)
from tests.models.torchvision_names import torchvision_state

ROOT = Path(__file__).parents[2]


def halves(depth, **options):
    base = ResNet(
        depth,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        **options,
    )
    return base, ResConv5(depth, **options)


@pytest.mark.parametrize('depth', [18, 50])
def test_every_key_of_both_halves_comes_from_the_file(depth, tmp_path):
    state = torchvision_state(depth)
    path = str(tmp_path / 'resnet.pth')
    torch.save(state, path)
    taken = {}
    for half in halves(depth):
        PretrainedResNet(path)(half)
        taken.update(half.state_dict())
    # the two halves and the classifier are the whole file, nothing twice
    assert set(taken) == {k for k in state if not k.startswith('fc.')}
    for key, value in taken.items():
        assert torch.equal(value, state[key]), key


def test_files_older_than_the_batch_counter_are_fine(tmp_path):
    state = torchvision_state(18)
    state = {k: v for k, v in state.items() if 'num_batches' not in k}
    torch.save(state, tmp_path / 'old.pth')
    conv5 = ResConv5(18)
    PretrainedResNet(str(tmp_path / 'old.pth'))(conv5)
    key = 'layer4.1.conv2.weight'
    assert torch.equal(conv5.state_dict()[key], state[key])


@pytest.mark.parametrize(
    ('depth', 'change', 'message'),
    [
        (50, {}, 'layer4.0.conv3.weight'),  # file of a ResNet-18
        (18, {'layer4.0.conv1.weight': None}, '1 keys missing'),
        (18, {'extra.weight': torch.zeros(1)}, r"unexpected \['extra.weight"),
        (18, {'layer4.0.bn1.bias': torch.zeros(3)}, r'\(3,\), not \(512,\)'),
    ],
)
def test_another_network_is_refused_untouched(
    depth, change, message, tmp_path
):
    state = {**torchvision_state(18), **change}
    state = {k: v for k, v in state.items() if v is not None}
    torch.save(state, tmp_path / 'r.pth')
    conv5 = ResConv5(depth)
    before = {k: v.clone() for k, v in conv5.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        PretrainedResNet(str(tmp_path / 'r.pth'))(conv5)
    for key, value in conv5.state_dict().items():
        assert torch.equal(value, before[key])


def test_a_file_that_cannot_be_had_names_both_keys_of_a_config():
    with pytest.raises(InputError) as caught:
        PretrainedResNet('/nowhere/resnet18.pth')(ResConv5(18))
    text = str(caught.value)
    assert text.startswith('/nowhere/resnet18.pth: ')
    config = Config.fromfile(ROOT / 'configs/oim/oim_r18.py')
    keys = re.findall(r'model\.[\w.]+', text)
    assert len(keys) == 2
    for key in keys:
        value = config
        for part in key.split('.'):
            value = value[part]
        assert value == 'torchvision://resnet18'


def test_a_mobilenet_takes_its_layers_from_the_whole_file(tmp_path):
    state = MobileNetV2(0.5).state_dict()
    state = {k: torch.rand_like(v.float()) for k, v in state.items()}
    path = str(tmp_path / 'mobilenet.pth')
    torch.save({'state_dict': state}, path)
    network = MobileNetV2C4(
        0.5, init_cfg=dict(type='PretrainedMobileNetV2', checkpoint=path)
    )
    network.init_weights()
    for key, value in network.state_dict().items():
        if not key.endswith('num_batches_tracked'):
            assert torch.equal(value, state[key]), key


@pytest.mark.parametrize(
    ('width', 'change', 'message'),
    [
        (1.0, {}, r'another shape .*widen_factor of the config'),
        (0.5, {'layer5.0.linear_conv.bn.bias': None}, '1 keys missing'),
        (0.5, {'features.0': torch.zeros(1)}, r"unexpected \['features.0"),
    ],
)
def test_another_mobilenet_is_refused(width, change, message, tmp_path):
    state = {**MobileNetV2(0.5).state_dict(), **change}
    state = {k: v for k, v in state.items() if v is not None}
    torch.save(state, tmp_path / 'm.pth')
    network = MobileNetV2C4(width)
    with pytest.raises(ValueError, match=message):
        PretrainedMobileNetV2(str(tmp_path / 'm.pth'))(network)
