import pytest
import torch
from torch import nn

from mmps.models import OIMHead
from mmps.models.proto_norm import ProtoNorm1d, prototypes
from mmps.structures import BACKGROUND, UNLABELED

# 7 twice, 2 once, two strangers, background three times
IDS = torch.tensor(
    [7, BACKGROUND, UNLABELED, 7, 2, BACKGROUND, UNLABELED, BACKGROUND]
)


def vectors(seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return 3 + torch.randn(len(IDS), 4, generator=generator, dtype=dtype)


def slow(x):
    """Mean of prototypes and variance around it, by hand."""
    everyone = [
        (x[0] + x[3]) / 2,
        x[4],
        x[2],
        x[6],
        (x[1] + x[5] + x[7]) / 3,
    ]
    mean = sum(everyone) / len(everyone)
    return mean, sum((row - mean) ** 2 for row in x) / len(x)


def test_everybody_counts_once():
    x = vectors()
    mean, var = slow(x)
    norm = ProtoNorm1d(4, affine=False).double()
    expected = (x - mean) / (var + 1e-5).sqrt()
    torch.testing.assert_close(norm(x, IDS), expected, rtol=0, atol=1e-12)
    # not what BatchNorm does
    assert not torch.allclose(nn.BatchNorm1d(4).double()(x), expected)
    torch.testing.assert_close(norm.running_mean, 0.1 * mean)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * var * 8 / 7)
    assert norm.num_batches_tracked == 1


def test_alike_if_everybody_is_alone():
    x = vectors()
    alone = torch.full_like(IDS, UNLABELED)
    proto, plain = ProtoNorm1d(4).double(), nn.BatchNorm1d(4).double()
    torch.testing.assert_close(proto(x, alone), plain(x))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(proto.state_dict()[name], value)


def test_a_test_takes_running_statistics_and_no_identities():
    norm = ProtoNorm1d(4, affine=False).double()
    norm(vectors(), IDS)
    plain = nn.BatchNorm1d(4, affine=False).double()
    plain.load_state_dict(norm.state_dict())
    x = vectors(seed=1)
    assert torch.equal(norm.eval()(x), plain.eval()(x))


def test_the_gradient_is_that_of_the_formula():
    norm = ProtoNorm1d(4).double()
    x = vectors().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: norm(x, IDS), x)


def test_prototypes_of_nobody():
    assert prototypes(vectors()[:0], IDS[:0]).shape == (0, 4)


def test_training_needs_identities():
    with pytest.raises(ValueError, match='needs the identities'):
        ProtoNorm1d(4)(vectors(dtype=torch.float32))


def test_a_head_passes_the_identities_on():
    head = OIMHead(
        in_channels=4,
        feat_dim=3,
        norm_cfg=dict(type='ProtoNorm1d', affine=False),
        loss_oim=dict(type='OIMLoss', num_ids=8, queue_size=4),
    )
    assert isinstance(head.norm, ProtoNorm1d)
    assert not list(head.norm.parameters())
    x = vectors(dtype=torch.float32)
    head.loss(x, IDS)
    mean = prototypes(head.fc(x), IDS).mean(dim=0)
    torch.testing.assert_close(head.norm.running_mean, 0.1 * mean.detach())
