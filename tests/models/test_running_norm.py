import pytest
import torch

from mmps.models.running_norm import RunningNorm
from tests.ranks import run_ranks


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 + 0.05 * torch.randn(*shape, generator=generator)


def test_first_batches_count_alike():
    norm = RunningNorm(5, momentum=0.01)
    batches = draw(8, 6, 5)
    for batch in batches:
        norm(batch)
    rows = batches.flatten(0, 1).double()
    torch.testing.assert_close(norm.mean.double(), rows.mean(dim=0))
    torch.testing.assert_close(
        norm.var.double(), rows.var(dim=0, unbiased=False)
    )
    expected = (draw(3, 5, seed=1).double() - rows.mean(dim=0)) / (
        rows.var(dim=0, unbiased=False) + 1e-6
    ).sqrt()
    got = norm.eval()(draw(3, 5, seed=1))
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-4)
    assert 0.5 < got.std() < 2


def test_later_batches_count_by_momentum():
    norm = RunningNorm(1, momentum=0.25)
    mean, square = 0.0, 0.0
    for step in range(1, 9):
        value = float(step)
        norm(torch.tensor([[value]]))
        share = max(1 / step, 0.25)
        mean += share * (value - mean)
        square += share * (value**2 - square)
    assert float(norm.mean) == pytest.approx(mean, rel=1e-5)
    assert float(norm.var) == pytest.approx(square - mean**2, rel=1e-5)


def test_testing_and_looking_leave_the_statistics():
    norm = RunningNorm(5)
    norm(draw(6, 5))
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    norm.standardise(draw(6, 5, seed=1))
    norm(draw(0, 5))
    norm.eval()(draw(6, 5, seed=2))
    for key, value in norm.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_the_same_statistics_are_used_in_training_and_testing():
    norm = RunningNorm(5)
    norm(draw(6, 5))
    batch = draw(6, 5, seed=1)
    assert torch.equal(norm(batch), norm.eval()(batch))


def test_a_constant_channel_stays_small():
    norm = RunningNorm(2)
    got = norm(torch.full((4, 2), 0.3))
    assert got.abs().max() < 1e-3


def test_gradient_is_that_of_a_fixed_scale():
    norm = RunningNorm(5).double().eval()
    x = draw(3, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(norm, (x,))


@pytest.mark.parametrize('momentum', [0, -0.1, 1.5])
def test_a_momentum_that_is_no_share_is_refused(momentum):
    with pytest.raises(ValueError, match=r'momentum must be in \(0, 1\]'):
        RunningNorm(3, momentum=momentum)


def statistics(rank, world_size, batches):
    norm = RunningNorm(5, momentum=0.3)
    for batch in batches:
        norm(batch[rank::world_size])
    return norm.mean, norm.var


def test_processes_share_their_batches(tmp_path):
    batches = draw(6, 5, 5)  # five rows: 3 and 2
    expected = statistics(0, 1, batches)
    for got in run_ranks(2, tmp_path, statistics, 2, batches):
        for ours, value in zip(got, expected, strict=True):
            torch.testing.assert_close(ours, value)


def test_a_spread_far_below_the_mean_survives_half_precision():
    norm = RunningNorm(5)
    batch = 10 + draw(64, 5)
    expected = norm(batch)
    norm.load_state_dict(
        {
            key: value.half() if value.is_floating_point() else value
            for key, value in norm.state_dict().items()
        }
    )
    # the mean moves by at most half of 2^-7, a tenth of the spread
    got = norm.eval()(batch)
    assert (got - expected).abs().max() < 0.2
