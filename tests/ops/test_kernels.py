"""Every set of operators that is here against loops.

The stand-ins have the interfaces of torchvision and compiled mmcv, so that
how they are called is tested where neither is installed.
"""

import functools

import mmcv.ops  # noqa: F401 - before a stand-in for its compiled part
import numpy as np
import pytest
import torch
from torch import nn

from mmps.ops import nms, roi_align
from mmps.ops.choice import SETS, VARIABLE, kernels_for
from tests.ops.loops import (
    nms_by_loops,
    roi_align_by_loops,
    roi_align_gradient_by_loops,
)
from tests.ops.stand_ins import install_compiled_mmcv, install_torchvision

STAND_INS = {
    'torchvision': install_torchvision,
    'mmcv': install_compiled_mmcv,
}
CASES = [
    *((name, device, False) for name in SETS for device in ('cpu', 'cuda')),
    *((name, 'cpu', True) for name in STAND_INS),
]
ROIS = [  # on maps of 7 x 9 cells
    [1, 1.25, 0.5, 6.0, 5.75],  # inside
    [0, 0, 0, 9, 7],  # all of it
    [0, 4.1, 3.2, 4.15, 3.3],  # far smaller than a cell
    [1, -3, -2.5, 4, 3],  # over the upper left corner
    [1, 5, 4, 12.5, 11],  # over the lower right corner
    [0, 20, 20, 30, 31],  # wholly outside
    [1, 3, 2, 3, 2],  # a point
]


@pytest.fixture(
    params=CASES,
    ids=lambda c: f'{c[0]}-{c[1]}' + '-stand-in' * c[2],
)
def device(request, monkeypatch):
    """A device on which one set is forced; skips a set that is not here."""
    name, device, stand_in = request.param
    if device == 'cuda' and not torch.cuda.is_available():
        pytest.skip('needs a GPU')
    if stand_in:
        STAND_INS[name](monkeypatch)
    monkeypatch.setenv(VARIABLE, name)
    try:
        kernels = kernels_for(device)
    except ImportError as error:
        pytest.skip(f'{name} on {device}: {error.__cause__}')
    assert (kernels.name if kernels else 'torch') == name
    return device


def make_features(shape=(2, 3, 7, 9), seed=0):
    gen = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=gen)


def crowd(threshold, offset):
    """Upright boxes with whole corners, ten different scores for 150.

    No IoU lies near the threshold, where roundings would decide.
    """
    rng = np.random.default_rng(3)
    corner = rng.integers(0, 60, (150, 2))
    boxes = np.concatenate([corner, corner + rng.integers(4, 30, (150, 2))], 1)
    one, other = boxes[:, None].astype(float), boxes[None].astype(float)
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., 2:], other[..., 2:])
    inter = (high - low + offset).clip(0).prod(-1)
    area = (one[..., 2:] - one[..., :2] + offset).prod(-1)
    other_area = (other[..., 2:] - other[..., :2] + offset).prod(-1)
    iou = inter / (area + other_area - inter)
    assert abs(iou - threshold).min() > 1e-6
    scores = rng.integers(0, 10, 150) / 10
    return torch.tensor(boxes).float(), torch.tensor(scores).float()


@functools.cache  # loops take longer than what they are compared with
def crowd_by_loops(threshold, offset):
    boxes, scores = crowd(threshold, offset)
    kept = nms_by_loops(boxes.numpy(), scores.numpy(), threshold, offset)
    return boxes, scores, kept


@functools.cache
def pooled_by_loops(*args):
    rois = torch.tensor(ROIS)
    rois[:, 1:] *= 2
    features = make_features()
    return rois, roi_align_by_loops(features.numpy(), rois.double(), *args)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_nms_with_ties(device, offset, dtype):
    boxes, scores, expected = crowd_by_loops(0.4703, offset)
    assert 10 < len(expected) < 140
    boxes, scores = boxes.to(device, dtype), scores.to(device)
    for max_num in (None, 7, 0):
        kept = nms(boxes, scores, 0.4703, offset, max_num)
        assert kept.dtype == torch.long
        assert kept.device == boxes.device
        assert kept.tolist() == expected[:max_num]


@pytest.mark.parametrize(
    ('boxes', 'scores', 'expected'),
    [
        ([], [], []),
        ([[0, 0, 1, 1]], [0.1], [0]),
        ([[0, 0, 2, 2], [0, 0, 2, 2]], [0.1, 0.9], [1]),  # twice
        ([[0, 0, 2, 2], [0, 0, 2, 2]], [0.5, 0.5], [0]),  # and a tie
        ([[0, 0, 2, 2], [5, 0, 7, 2], [9, 0, 11, 2]], [0, 0, 0], [0, 1, 2]),
        ([[3, 3, 3, 3], [3, 3, 3, 3]], [0.1, 0.2], [1, 0]),  # points
    ],
)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_nms_of_few(device, boxes, scores, expected, dtype):
    boxes = torch.tensor(boxes, dtype=dtype, device=device).reshape(-1, 4)
    scores = torch.tensor(scores, dtype=torch.float32, device=device)
    assert nms(boxes, scores, 0.3).tolist() == expected


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize(
    'layout', [torch.contiguous_format, torch.channels_last]
)
def test_roi_align(device, aligned, sampling_ratio, layout):
    args = (2, 3), 0.5, sampling_ratio, aligned
    rois, expected = pooled_by_loops(*args)
    features = make_features().to(device, memory_format=layout)
    out = roi_align(features, rois.to(device), *args)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=layout)
    np.testing.assert_allclose(out.cpu().numpy(), expected, rtol=0, atol=1e-5)


def test_roi_align_sums_in_float32(device):
    features, rois = make_features().half(), torch.tensor(ROIS)
    expected = roi_align_by_loops(features.double().numpy(), rois, (2, 2))
    for autocast in (False, True):
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            out = roi_align(features.to(device), rois.to(device), 2)
        assert out.dtype == torch.float16
        torch.testing.assert_close(
            out.cpu(), torch.from_numpy(expected).half(), rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize('aligned', [True, False])
def test_gradient_of_roi_align(device, aligned):
    rois = torch.tensor(
        [[0, 1, 1, 6, 7], [1, -2, 0, 4, 4], [1, 2.5, 2, 9, 7.5]]
    )
    features, weight = make_features((2, 2, 4, 5)), make_features((3, 2, 2, 2))
    args = (2, 2), 0.5, 0, aligned
    expected = roi_align_gradient_by_loops(
        weight.numpy(), features.shape, rois.double(), *args
    )
    features = features.to(device).requires_grad_()
    out = roi_align(features, rois.to(device), *args)
    # as from a convolution that runs channels last
    weight = weight.to(device).to(memory_format=torch.channels_last)
    (grad,) = torch.autograd.grad((out * weight).sum(), features)
    np.testing.assert_allclose(grad.cpu().numpy(), expected, rtol=0, atol=1e-5)


def test_no_region_gives_an_empty_result_and_a_gradient(device):
    features = make_features().to(device).requires_grad_()
    out = roi_align(features, torch.zeros(0, 5, device=device), (4, 6))
    assert out.shape == (0, 3, 4, 6)
    out.sum().backward()
    assert not features.grad.any()


class Pool(nn.Module):
    """``roi_align`` as a module."""

    def forward(self, features, rois):
        return roi_align(features, rois, (3, 2), 0.5)


def test_an_exported_program_is_plain_torch(device):
    pool = Pool()
    features, rois = make_features().to(device), torch.tensor(ROIS).to(device)
    number = torch.export.Dim('number')
    program = torch.export.export(
        pool, (features, rois[:4]), dynamic_shapes=(None, {0: number})
    )
    assert 'torchvision' not in str(program.graph)
    exported = program.module()(features, rois)
    torch.testing.assert_close(exported, pool(features, rois))


def test_a_compiled_module_gives_the_same(device, request):
    if 'stand-in' in request.node.name:
        pytest.skip('NumPy loops cannot be compiled')
    pool = Pool()
    features, rois = make_features().to(device), torch.tensor(ROIS).to(device)
    expected = pool(features, rois)
    compiled = torch.compile(pool, backend='eager')(features, rois)
    torch.testing.assert_close(compiled, expected)
