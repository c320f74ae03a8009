"""The light head against sums written out, and what gradient reaches."""

import pytest
import torch

from mmps.models import TwoFCHead

SIZES = dict(in_channels=3, roi_feat_size=2, hidden_channels=5, out_channels=4)
BN = dict(type='BN1d')


def drawn(norm_cfg=None):
    """A head in float64 whose weights and statistics are all random."""
    head = TwoFCHead(**SIZES, norm_cfg=norm_cfg).double()
    for value in (*head.parameters(), *head.buffers()):
        if value.is_floating_point():
            value.data.uniform_(0.2, 1.0)
            value.data *= torch.randint_like(value, 2) * 2 - 1
    for name, buffer in head.named_buffers():
        if name.endswith('var'):
            buffer.abs_()
    return head


@torch.no_grad()
def slow_layer(layer, inputs):
    """One layer of one RoI, number by number."""
    linear, norm, _ = layer
    outputs = []
    for row in range(linear.out_features):
        value = 0.0 if linear.bias is None else float(linear.bias[row])
        for k, x in enumerate(inputs):
            value += float(linear.weight[row, k]) * x
        if not isinstance(norm, torch.nn.Identity):
            centred = value - float(norm.running_mean[row])
            value = centred / (float(norm.running_var[row]) + norm.eps) ** 0.5
            value = value * float(norm.weight[row]) + float(norm.bias[row])
        outputs.append(max(value, 0.0))
    return outputs


@pytest.mark.parametrize('norm_cfg', [None, BN])
def test_is_two_layers_number_by_number(norm_cfg):
    head = drawn(norm_cfg).eval()
    regions = torch.randn(6, 3, 2, 2, dtype=torch.float64)
    vectors = head(regions)
    assert vectors.shape == (6, 4, 1, 1)
    expected = [
        slow_layer(head.fc2, slow_layer(head.fc1, region.flatten().tolist()))
        for region in regions
    ]
    expected = torch.tensor(expected, dtype=torch.float64)
    assert expected.any()
    assert not expected.all()  # some are rectified
    torch.testing.assert_close(vectors[:, :, 0, 0], expected)


@pytest.mark.parametrize('norm_cfg', [None, BN])
def test_every_weight_gets_a_gradient(norm_cfg):
    head = TwoFCHead(**SIZES, norm_cfg=norm_cfg)
    head.init_weights()
    regions = torch.rand(16, 3, 2, 2, requires_grad=True)
    (head(regions) * torch.randn(16, 4, 1, 1)).sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.any(), name
    assert regions.grad.any()
    # a normalisation takes off the bias of a linear layer, which has none
    biases = [n for n, _ in head.named_parameters() if n.endswith('0.bias')]
    assert len(biases) == (2 if norm_cfg is None else 0)


@pytest.mark.parametrize('norm_cfg', [None, BN])
def test_no_roi_gives_no_vector(norm_cfg):
    head = drawn(norm_cfg).eval()
    nothing = torch.zeros(0, 3, 2, 2, dtype=torch.float64)
    assert head(nothing).shape == (0, 4, 1, 1)


def test_weights_start_as_those_of_mmdets_layers():
    head = TwoFCHead(64, 4, 512, 256)
    head.init_weights()
    weight = head.fc1[0].weight.detach()
    # Xavier: uniform within the root of 6 / (inputs + outputs)
    bound = (6 / (64 * 16 + 512)) ** 0.5
    assert 0.99 * bound < float(weight.abs().max()) <= bound
    assert not head.fc1[0].bias.any()
