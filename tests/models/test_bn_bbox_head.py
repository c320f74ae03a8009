import pytest
import torch

from mmps.models import BNBBoxHead

SIZES = dict(
    in_channels=300, roi_feat_size=1, num_classes=1, reg_class_agnostic=True
)


def test_deltas_pass_through_the_normalisation():
    head = BNBBoxHead(with_cls=False, **SIZES).double().train()
    x = torch.randn(6, 300, dtype=torch.float64)
    logits, deltas = head(x)
    raw = x @ head.fc_reg.weight.T + head.fc_reg.bias
    expected = (raw - raw.mean(0)) / (raw.var(0, correction=0) + 1e-5).sqrt()
    assert logits is None
    torch.testing.assert_close(deltas, expected)


def test_with_classes_their_logits_are_left_alone():
    head = BNBBoxHead(**SIZES).eval()
    x = torch.randn(3, 300)
    torch.testing.assert_close(head(x)[0], head.fc_cls(x))


@pytest.mark.parametrize('with_cls', [True, False])
def test_weights_start_as_said(with_cls):
    head = BNBBoxHead(with_cls=with_cls, **SIZES)
    head.init_weights()
    assert float(head.fc_reg.weight.detach().std()) == pytest.approx(
        0.01, rel=0.1
    )
    assert 0 < head.bn.weight.abs().max() < 0.05
    assert not head.bn.bias.any()
