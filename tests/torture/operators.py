"""NMS and RoIAlign against slow references, on the worst of inputs.

References are the loops of ``tests/ops/loops.py``. Four cases of ten are
NMS, one is mmcv's NMS by class, which calls ours, four are RoIAlign, and one
asks for what is to be refused. Of the cases of RoIAlign one in fifty checks
its gradients, of first and second order.

Symbols used in this file:
    N   boxes
    R   regions
"""

import math
import random
from collections import Counter

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from mmps.ops import nms, roi_align
from tests.ops.loops import nms_by_loops, roi_align_by_loops

from .trial import Trial

#: Of a value of the size of 1.
NEAR = 1e-6
THRESHOLDS = (0.0, 0.25, 1 / 3, 0.4, 0.5, 0.7, 1.0)
ODD = (math.nan, math.inf, -math.inf, 3e38, -3e38, 1e20, 1e-40)
#: Kinds of ten cases in a row.
KINDS = ('nms',) * 4 + ('batched',) + ('roi',) * 4 + ('refused',)
#: What must have been seen in a whole campaign.
EXPECTED = {
    *('kept', 'suppressed', 'empty', 'ties', 'odd', 'classes'),
    *('pooled', 'zero', 'float32', 'gradient', 'refused'),
}


def attack(trial: Trial) -> str:
    """Compare indices exactly and values to 1e-6."""
    seen = Counter()
    for number, rng in trial.each():
        with trial.attempt(number), np.errstate(all='ignore'):
            CASES[KINDS[number % 10]](number, rng, seen)
    if trial.done >= 1000:
        with trial.attempt(-1):
            assert not (lack := EXPECTED - seen.keys()), f'never: {lack}'
    return ', '.join(f'{count} {what}' for what, count in seen.most_common())


def _suppress(number: int, rng: random.Random, seen: Counter) -> None:
    boxes, scores = _crowd(rng)
    if rng.random() < 0.2:
        boxes = [
            [rng.choice(ODD) if rng.random() < 0.2 else x for x in box]
            for box in boxes
        ]
        seen['odd'] += 1
    threshold, offset = rng.choice(THRESHOLDS), rng.randint(0, 1)
    most = rng.choice([None, None, 0, 1, 3])
    kept = nms(_boxes(boxes), torch.tensor(scores), threshold, offset, most)
    expected = nms_by_loops(boxes, scores, threshold, offset)
    assert kept.tolist() == expected[:most]
    seen['empty'] += not boxes
    seen['ties'] += len(set(scores)) < len(scores)
    seen['kept'] += len(expected)
    seen['suppressed'] += len(boxes) - len(expected)


def _suppress_classes(number: int, rng: random.Random, seen: Counter) -> None:
    # inside of a picture and not none, as mmdet calls it: mmcv moves the
    # classes apart by the greatest coordinate
    boxes = [[abs(x) for x in box] for box in _grid(rng, rng.randint(1, 14))]
    scores = [rng.randint(0, 3) / 4 for _ in boxes]
    classes = [rng.randint(0, 2) for _ in boxes]
    threshold = rng.choice(THRESHOLDS)
    found, kept = batched_nms(
        _boxes(boxes),
        torch.tensor(scores),
        torch.tensor(classes, dtype=torch.long),
        dict(type='nms', iou_threshold=threshold),
    )
    expected = []
    for one in range(3):
        own = [i for i, c in enumerate(classes) if c == one]
        inside = nms_by_loops(
            *([values[i] for i in own] for values in (boxes, scores)),
            threshold,
        )
        expected += [own[i] for i in inside]
    expected.sort(key=lambda i: (-scores[i], i))
    assert kept.tolist() == expected
    assert found[:, 4].tolist() == [scores[i] for i in expected]
    seen['classes'] += len(boxes)


def _pool(number: int, rng: random.Random, seen: Counter) -> None:
    # eighths and whole powers of two are exact in float32, too
    single = rng.random() < 0.3
    bins = (1, 2, 4) if single else (1, 2, 3)
    shape = (2, 1, rng.randint(1, 6), rng.randint(1, 6))
    options = (
        (rng.choice(bins), rng.choice(bins)),
        rng.choice([1.0, 0.5] if single else [1.0, 0.5, 0.3]),
        rng.choice([0, 1, 2]),
        rng.random() < 0.5,
    )
    rois = [_region(rng, options[2]) for _ in range(rng.randint(0, 2))]
    features = torch.tensor(
        [rng.randint(-64, 64) / 64 for _ in range(math.prod(shape))],
        dtype=torch.float64,
    ).reshape(shape)
    rois = torch.tensor(rois, dtype=torch.float64).reshape(-1, 5)
    expected = roi_align_by_loops(features.numpy(), rois.numpy(), *options)
    dtype = torch.float32 if single else torch.float64
    out = roi_align(features.to(dtype), rois.to(dtype), *options)
    assert out.dtype == dtype
    assert out.shape == expected.shape
    np.testing.assert_allclose(
        out.numpy(), expected, rtol=0, atol=NEAR if single else NEAR**2
    )
    seen['float32'] += single
    seen['empty'] += not len(rois)
    seen['zero'] += int((expected == 0).all((1, 2, 3)).sum())
    seen['pooled'] += int((expected != 0).any((1, 2, 3)).sum())
    if rng.random() < 0.02:
        _differentiate(features, rois, options)
        seen['gradient'] += 1


def _differentiate(features: Tensor, rois: Tensor, options: tuple) -> None:
    features = features.clone().requires_grad_()

    def squared(features):  # so that second derivatives are not 0
        return roi_align(features, rois, *options) ** 2

    assert gradcheck(squared, features)
    assert gradgradcheck(squared, features)


def _refuse(number: int, rng: random.Random, seen: Counter) -> None:
    features, rois = torch.zeros(2, 1, 3, 3), torch.ones(3, 5)
    bad = rng.choice(ODD[:3])
    where = rng.randrange(3), rng.randrange(5)
    kind = rng.randrange(4)
    if kind == 0:
        rois[where] = bad
        with pytest.raises(ValueError, match=f'roi {where[0]} is not finite'):
            roi_align(features, rois, 2)
    elif kind == 1:
        rois[where[0], 0] = rng.choice([-1, 2, 1e9, -3e38])
        with pytest.raises(IndexError, match=f'roi {where[0]} is of image'):
            roi_align(features, rois, 2)
    elif kind == 2:
        threshold = rng.choice([bad, -1e-9, 1 + 1e-9])
        with pytest.raises(ValueError, match='iou_threshold must be in'):
            nms(torch.zeros(3, 4), torch.zeros(3), threshold)
    else:
        shape = rng.choice([(4,), (3, 5), (3, 4, 1), (4, 3), (2, 4)])
        with pytest.raises(ValueError, match='must have shape'):
            nms(torch.zeros(shape), torch.zeros(3), 0.5)
    seen['refused'] += 1


CASES = {
    'nms': _suppress,
    'batched': _suppress_classes,
    'roi': _pool,
    'refused': _refuse,
}


def _boxes(boxes: list) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def _crowd(rng: random.Random) -> tuple[list, list]:
    """Up to 14 boxes and their scores.

    Half of them lie on a coarse grid: duplicates, equal scores, IoUs equal
    to a threshold, lines, points, inside out.
    """
    number = rng.choice([0, 1, 2, 6, 10, 14])
    if rng.random() < 0.5:
        boxes = _grid(rng, number)
        return boxes, [float(rng.randint(0, 3)) for _ in boxes]
    size = 10 ** rng.uniform(-3, 6)
    boxes = []
    for _ in range(number):
        x, y = rng.random() * size, rng.random() * size
        width, height = rng.random() * size, rng.random() * size
        boxes.append([x, y, x + width, y + height])
    # as float32 has them, so that both sides see the same numbers
    return _boxes(boxes).tolist(), [rng.random() for _ in boxes]


def _grid(rng: random.Random, number: int) -> list:
    boxes = []
    for _ in range(number):
        x, y = rng.randint(0, 4), rng.randint(0, 4)
        boxes.append([x, y, x + rng.randint(-1, 4), y + rng.randint(-1, 4)])
    return boxes


def _region(rng: random.Random, sampling_ratio: int) -> list:
    image = rng.randint(0, 1)
    # with 0, the reference takes a sample for each cell
    far = 100 if sampling_ratio == 0 else rng.choice([100, 100, 10**5])
    edges = [rng.randint(-far // 3, far) / 8 for _ in range(4)]
    if rng.random() < 0.7:
        edges = [
            *map(min, edges[:2], edges[2:]),
            *map(max, edges[:2], edges[2:]),
        ]
    return [image, *edges]
