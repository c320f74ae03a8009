"""MobileNetV2 up to stride 16, against the whole one of mmdet."""

import pytest
import torch
from mmdet.models.backbones import MobileNetV2

from mmps.models import MobileNetV2C4

IMAGES = torch.randn(2, 3, 64, 96)


@pytest.mark.parametrize(('width', 'channels'), [(1.0, 96), (0.5, 48)])
def test_is_a_layer_of_the_whole_network(width, channels):
    ours, whole = MobileNetV2C4(width), MobileNetV2(width, out_indices=(4,))
    rest = whole.load_state_dict(ours.state_dict(), strict=False)
    assert not rest.unexpected_keys
    left = {key.partition('.')[0] for key in rest.missing_keys}
    assert left == {'layer6', 'layer7', 'conv2'}
    ours.eval()
    whole.eval()
    with torch.no_grad():
        (feats,), (expected,) = ours(IMAGES), whole(IMAGES)
    assert feats.shape == (2, channels, 4, 6)
    assert torch.equal(feats, expected)


def test_every_weight_gets_a_gradient():
    network = MobileNetV2C4(0.5).train()
    network.init_weights()
    (feats,) = network(IMAGES)
    (feats * torch.randn_like(feats)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_frozen_layers_and_statistics_stay():
    network = MobileNetV2C4(0.5, frozen_stages=2, norm_eval=True).train()
    frozen = {
        name.partition('.')[0]
        for name, parameter in network.named_parameters()
        if not parameter.requires_grad
    }
    assert frozen == {'conv1', 'layer1', 'layer2'}
    before = {k: v.clone() for k, v in network.named_buffers()}
    network(IMAGES)
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, before[name]), name
