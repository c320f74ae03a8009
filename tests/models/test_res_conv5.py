import pytest
import torch
from mmdet.models.roi_heads.shared_heads.res_layer import ResLayer

from mmps.models import ResConv5


@pytest.mark.parametrize('depth', [18, 50])
def test_equals_the_stock_head_at_full_width(depth):
    ours, stock = ResConv5(depth), ResLayer(depth)
    stock.load_state_dict(ours.state_dict())
    ours.eval()
    stock.eval()
    x = torch.randn(2, ours.in_channels, 14, 14)
    assert torch.equal(ours(x), stock(x))
    assert ours(x).shape == (2, ours.out_channels, 7, 7)


def test_width_scales_every_layer():
    wide, narrow = ResConv5(18), ResConv5(18, base_channels=32)
    assert (narrow.in_channels, narrow.out_channels) == (128, 256)
    assert sum(p.numel() for p in wide.parameters()) == pytest.approx(
        4 * sum(p.numel() for p in narrow.parameters()), rel=0.01
    )


@pytest.mark.parametrize('norm_eval', [True, False])
def test_norm_eval_keeps_the_statistics(norm_eval):
    head = ResConv5(18, base_channels=8, norm_eval=norm_eval).train()
    before = head.layer4[0].bn1.running_mean.clone()
    head(torch.randn(2, 32, 4, 4))
    kept = torch.equal(head.layer4[0].bn1.running_mean, before)
    assert kept == norm_eval
    assert head.training


@pytest.mark.parametrize(('depth', 'last'), [(18, 'bn2'), (50, 'bn3')])
def test_blocks_start_as_the_identity(depth, last):
    head = ResConv5(depth, base_channels=8)
    head.init_weights()
    for block in head.layer4:
        assert not getattr(block, last).weight.any()
        assert (block.bn1.weight == 1).all()


def test_activations_may_be_computed_again():
    head = ResConv5(18, base_channels=8).train()
    again = ResConv5(18, base_channels=8, with_cp=True).train()
    again.load_state_dict(head.state_dict())
    runs = [0, 0]
    for k, net in enumerate((head, again)):
        net.layer4[0].conv1.register_forward_hook(
            lambda *_, k=k: runs.__setitem__(k, runs[k] + 1)
        )
    x = torch.randn(2, 32, 6, 6)
    grads = []
    for net in (head, again):
        inputs = x.clone().requires_grad_()
        net(inputs).square().sum().backward()
        grads.append([inputs.grad, *(p.grad for p in net.parameters())])
    assert runs == [1, 2]
    for plain, recomputed in zip(*grads, strict=True):
        torch.testing.assert_close(plain, recomputed)
