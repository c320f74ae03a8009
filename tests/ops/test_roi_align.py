"""RoIAlign against one loop per region, bin and sample."""

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmps.ops import roi_align, separable_pool
from tests.ops.loops import roi_align_by_loops

# The function of the same name hides the module as an attribute.
module = sys.modules['mmps.ops.roi_align']


ROIS = [  # on maps of 7 x 9 cells
    [1, 1.25, 0.5, 6.0, 5.75],  # inside
    [0, 0, 0, 9, 7],  # all of it
    [0, 4.1, 3.2, 4.15, 3.3],  # far smaller than a cell
    [1, -3, -2.5, 4, 3],  # over the upper left corner
    [1, 5, 4, 12.5, 11],  # over the lower right corner
    [0, -9, -8, -3, -2],  # wholly outside
    [0, 20, 20, 30, 31],  # wholly outside
    [1, 3, 2, 3, 2],  # a point
    [0, 5, 5, 3, 1],  # turned inside out
    [1, -100, -60, 200, 90],  # far larger than the map
]


def make_features(seed=0, shape=(2, 3, 7, 9), dtype=torch.float64):
    gen = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=gen, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 1, 2])
@pytest.mark.parametrize('size', [(2, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize('scale', [1.0, 0.5])
def test_value_is_the_mean_of_the_samples(
    aligned, sampling_ratio, size, scale
):
    features, rois = make_features(), torch.tensor(ROIS).double()
    rois[:, 1:] /= scale
    args = size, scale, sampling_ratio, aligned
    out = roi_align(features, rois, *args)
    expected = roi_align_by_loops(features.numpy(), rois.numpy(), *args)
    np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=1e-12)


@st.composite
def cases(draw):
    """Maps, regions in eighths of a cell (so also edges), and options."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    edge = st.integers(-80, 120).map(lambda n: n / 8)
    box = st.tuples(st.integers(0, 1), edge, edge, edge, edge)
    return (
        (2, 2, height, width),
        draw(st.lists(box, max_size=4)),
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        draw(st.sampled_from([1.0, 0.5, 0.3])),
        draw(st.integers(0, 3)),
        draw(st.booleans()),
    )


@given(cases())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_region_on_any_map(case):
    shape, rois, *args = case
    features = make_features(shape=shape)
    rois = torch.tensor(rois, dtype=torch.float64).reshape(-1, 5)
    out = roi_align(features, rois, *args)
    expected = roi_align_by_loops(features.numpy(), rois.numpy(), *args)
    np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=1e-10)


def test_gradient_is_that_of_the_samples():
    # linear in the features: the slope along each cell is exact
    rois = torch.tensor(ROIS).double()
    features = make_features(shape=(2, 1, 7, 9)).requires_grad_()
    weight = make_features(1, (len(rois), 1, 2, 3))
    (roi_align(features, rois, (2, 3)) * weight).sum().backward()
    for cell in [(0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 3, 4), (1, 0, 6, 8)]:
        one = np.zeros(features.shape)
        one[cell] = 1
        expected = (
            roi_align_by_loops(one, rois.numpy(), (2, 3)) * weight.numpy()
        ).sum()
        assert float(features.grad[cell]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_first_and_second_derivatives(aligned, sampling_ratio):
    rois = torch.tensor(ROIS).double()
    features = make_features(shape=(2, 2, 7, 9)).requires_grad_()

    def curved(x):  # roi_align is linear: second derivatives need a curve
        return roi_align(x**2, rois, (2, 3), 1.0, sampling_ratio, aligned)

    assert torch.autograd.gradcheck(curved, features, fast_mode=True)
    assert torch.autograd.gradgradcheck(curved, features, fast_mode=True)


@pytest.mark.parametrize('traced', [False, True])
def test_no_gradient_to_the_regions(traced, monkeypatch):
    monkeypatch.setattr(separable_pool, 'is_traced', lambda: traced)
    rois = torch.tensor(ROIS).double().requires_grad_()
    out = roi_align(make_features().requires_grad_(), rois, 2)
    assert torch.autograd.grad(out.sum(), rois, allow_unused=True) == (None,)


def test_no_region_gives_an_empty_result_and_a_gradient():
    features = make_features().requires_grad_()
    out = roi_align(features, torch.zeros(0, 5), (4, 6))
    assert out.shape == (0, 3, 4, 6)
    out.sum().backward()
    assert features.grad.shape == features.shape
    assert not features.grad.any()


def test_regions_outside_give_zero_and_no_gradient():
    features = make_features().requires_grad_()
    out = roi_align(features, torch.tensor(ROIS)[5:7], 3)
    out.sum().backward()
    assert not out.any()
    assert not features.grad.any()


def test_a_whole_map_of_one_value_gives_that_value():
    out = roi_align(torch.full((1, 1, 5, 5), 3.0), torch.tensor([
        [0, 0.0, 0, 5, 5], [0, -0.5, -0.5, 5.5, 5.5]]), 4)  # fmt: skip
    torch.testing.assert_close(out, torch.full_like(out, 3))


def test_a_region_of_the_cells_returns_the_cells():
    features = make_features()
    out = roi_align(features, torch.tensor([[1, 0.0, 0, 9, 7]]), (7, 9))
    torch.testing.assert_close(out[0], features[1])


def test_regions_neither_know_nor_move_each_other(monkeypatch):
    gen = torch.Generator().manual_seed(0)
    rois = torch.rand(40, 5, generator=gen, dtype=torch.float64) * 9
    rois[:, 3:] += rois[:, 1:3]
    rois[:, 0] = torch.arange(40) % 4  # images interleaved
    features = make_features(shape=(4, 3, 7, 9)).requires_grad_()
    weight = make_features(1, (40, 3, 3, 3))
    results = []
    for chunk_bytes in (1, 3 * 3 * 3 * 9 * 8, 2**30):  # 1, 3 and all of them
        monkeypatch.setattr(separable_pool, 'CHUNK_BYTES', chunk_bytes)
        out = roi_align(features, rois, 3)
        (grad,) = torch.autograd.grad((out * weight).sum(), features)
        results.append((out, grad))
    alone = torch.cat([roi_align(features, roi[None], 3) for roi in rois])
    for out, grad in results:
        torch.testing.assert_close(out, alone)
        torch.testing.assert_close(grad, results[0][1])


def test_chunks_keep_the_largest_product_in_bounds(monkeypatch):
    monkeypatch.setattr(separable_pool, 'CHUNK_BYTES', 4 * (2 * 3 * 9 * 4))
    seen = []
    product = separable_pool._product

    def spy(features, rows, cols):
        seen.append(len(rows))
        return product(features, rows, cols)

    monkeypatch.setattr(separable_pool, '_product', spy)
    rois = torch.tensor([[0.0, 1, 1, 5, 5]]).repeat(10, 1)
    roi_align(make_features(dtype=torch.float32), rois, 2)
    assert seen == [4, 4, 2]


def test_a_region_of_a_million_pixels_needs_little_memory():
    # 71 429 samples per bin, of which only those on the map are visited
    weights = module._weights(
        torch.tensor([-5e5]).double(), torch.tensor([1e6]).double(), 3, 8, 0
    )
    share = [0, 9 / math.ceil(1e6 / 3), 0]  # samples in [-1, 8], step 1
    np.testing.assert_allclose(weights.sum(2)[0], share, atol=1.1e-5)
    assert weights.sum() > 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype):
    features = make_features().to(dtype)
    rois = torch.tensor(ROIS)
    out = roi_align(features, rois, 2)
    assert out.dtype == dtype
    exact = roi_align(features.double(), rois, 2)
    torch.testing.assert_close(out, exact.to(dtype))


def test_autocast_changes_neither_values_nor_gradients():
    features = make_features(dtype=torch.float32).requires_grad_()
    rois = torch.tensor(ROIS)
    plain = roi_align(features, rois, 2)
    (expected,) = torch.autograd.grad(plain.square().sum(), features)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = roi_align(features, rois, 2)
        (grad,) = torch.autograd.grad(mixed.square().sum(), features)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, plain)
    assert torch.equal(grad, expected)


def test_memory_format_is_kept():
    features, rois = make_features(), torch.tensor(ROIS).double()
    last = features.contiguous(memory_format=torch.channels_last)
    plain, other = roi_align(features, rois, 2), roi_align(last, rois, 2)
    assert torch.equal(plain, other)
    assert plain.is_contiguous()
    assert other.is_contiguous(memory_format=torch.channels_last)


def test_inputs_are_left_alone():
    features, rois = make_features(), torch.tensor(ROIS).double()
    before = features.clone(), rois.clone()
    roi_align(features, rois, 2, 0.5)
    assert torch.equal(features, before[0])
    assert torch.equal(rois, before[1])


class Pool(nn.Module):
    """``roi_align`` as a module."""

    def forward(self, features, rois):
        return roi_align(features, rois, (3, 2), 0.5)


def test_exported_program_takes_other_regions():
    pool = Pool()
    features, rois = make_features(), torch.tensor(ROIS).double()
    number = torch.export.Dim('number')
    program = torch.export.export(
        pool, (features, rois[:4]), dynamic_shapes=(None, {0: number})
    )
    exported = program.module()
    for some in (rois, rois[-1:], rois[:0]):
        torch.testing.assert_close(
            exported(features, some), pool(features, some)
        )


@pytest.mark.filterwarnings('ignore')  # torch.jit is deprecated; shape checks
def test_traced_program_takes_other_regions():
    pool = Pool()
    features, rois = make_features(), torch.tensor(ROIS).double()
    traced = torch.jit.trace(pool, (features, rois[2:4]), check_trace=False)
    for some in (rois, rois[-1:], rois[:0]):
        torch.testing.assert_close(
            traced(features, some), pool(features, some)
        )


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        ({'features': torch.zeros(3, 7, 9)}, ValueError, r'\(3, 7, 9\)'),
        ({'features': torch.zeros(1, 1, 2, 2).int()}, ValueError, 'int32'),
        ({'features': torch.zeros(1, 3, 0, 9)}, ValueError, 'no cell'),
        ({'rois': torch.zeros(2, 4)}, ValueError, r'\(2, 4\)'),
        ({'rois': torch.zeros(2, 5).long()}, ValueError, 'int64'),
        ({'rois': torch.full((1, 5), torch.nan)}, ValueError, 'not finite'),
        ({'rois': torch.tensor([[2.0, 0, 0, 1, 1]])}, IndexError, 'image 2,'),
        ({'rois': torch.tensor([[-1.0, 0, 0, 1, 1]])}, IndexError, '0 to 1'),
        ({'output_size': 0}, ValueError, 'output_size .* got 0'),
        ({'output_size': (1, 2, 3)}, ValueError, 'output_size'),
        ({'sampling_ratio': -1}, ValueError, 'got -1'),
        ({'rois': torch.zeros(1, 5, device='meta')}, ValueError, 'on meta'),
    ],
)
def test_wrong_input_is_named(change, error, message):
    good = {
        'features': make_features(),
        'rois': torch.zeros(1, 5),
        'output_size': 2,
    }
    roi_align(**good)
    with pytest.raises(error, match=message):
        roi_align(**good | change)
