"""NMS against the rule written as two loops."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmps.ops import nms
from tests.ops.loops import nms_by_loops

module = sys.modules['mmps.ops.nms']


def make_boxes(number, seed=0, spread=100.0):
    gen = torch.Generator().manual_seed(seed)
    corner = torch.rand(number, 2, generator=gen) * spread
    size = torch.rand(number, 2, generator=gen) * 40 + 5
    return torch.cat([corner, corner + size], 1), torch.rand(
        number, generator=gen
    )


@pytest.mark.parametrize(
    ('boxes', 'scores', 'threshold', 'offset', 'expected'),
    [
        ([], [], 0.5, 0, []),
        ([[0, 0, 1, 1]], [0.1], 0.5, 0, [0]),
        ([[0, 0, 2, 2], [0, 0, 2, 2]], [0.1, 0.9], 0.5, 0, [1]),  # twice
        ([[0, 0, 2, 2], [0, 0, 2, 2]], [0.5, 0.5], 0.5, 0, [0]),  # and a tie
        ([[0, 0, 2, 2], [0, 0, 2, 1]], [0.9, 0.8], 0.5, 0, [0, 1]),  # equal
        ([[0, 0, 2, 2], [0, 0, 2, 1]], [0.9, 0.8], 0.49, 0, [0]),
        ([[0, 0, 1, 1], [5, 5, 6, 6]], [0.1, 0.2], 0.0, 0, [1, 0]),
        ([[3, 3, 3, 3], [3, 3, 3, 3]], [0.1, 0.2], 0.5, 0, [1, 0]),  # points
        ([[3, 3, 3, 3], [3, 3, 3, 3]], [0.1, 0.2], 0.5, 1, [1]),  # one pixel
        ([[0, 0, 3, 0], [1, 0, 4, 0]], [0.2, 0.1], 0.5, 1, [0]),  # 3 of 5
        ([[0, 0, 3, 0], [1, 0, 4, 0]], [0.2, 0.1], 0.7, 1, [0, 1]),
        # the second goes, and so cannot suppress the third
        ([[0, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4]], [3, 2, 1], .3, 0, [0, 2]),
    ],
)  # fmt: skip
def test_hand_made(boxes, scores, threshold, offset, expected):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    scores = torch.tensor(scores, dtype=torch.float32)
    kept = nms(boxes, scores, threshold, offset)
    assert kept.dtype == torch.long
    assert kept.tolist() == expected


@st.composite
def crowds(draw):
    """Boxes on a coarse grid: ties, duplicates, lines, points, inside out."""
    number = draw(st.integers(0, 12))
    cell, size = st.integers(0, 4), st.integers(-1, 4)
    boxes = draw(
        st.lists(
            st.tuples(cell, cell, size, size).map(
                lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
            ),
            min_size=number,
            max_size=number,
        )
    )
    scores = draw(
        st.lists(st.integers(0, 3), min_size=number, max_size=number)
    )
    threshold = draw(st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.7, 1.0]))
    return boxes, scores, threshold, draw(st.integers(0, 1))


@given(
    crowds(),
    st.sampled_from([1, 2, 5, 256]),
    st.sampled_from([None, 0, 1, 3, 100]),
)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_crowd_in_any_block_size(crowd, block, max_num):
    boxes, scores, threshold, offset = crowd
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, 'BLOCK', block)
        kept = nms(
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            torch.tensor(scores, dtype=torch.float32),
            threshold,
            offset,
            max_num,
        )
    expected = nms_by_loops(boxes, scores, threshold, offset)
    assert kept.tolist() == expected[:max_num]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('number', [255, 256, 257, 700])
def test_several_blocks(number, offset):
    boxes, scores = make_boxes(number)
    kept = nms(boxes, scores, 0.5, offset).tolist()
    assert kept == nms_by_loops(boxes.numpy(), scores.numpy(), 0.5, offset)
    assert 20 < len(kept) < number


def test_longest_chain_of_suppressions():
    # each box overlaps its two neighbours only: every second one stays
    left = torch.arange(1000.0)
    boxes = torch.stack([left, left * 0, left + 1.9, left * 0 + 1], 1)
    kept = nms(boxes, -left, 0.3)
    assert kept.tolist() == list(range(0, 1000, 2))


def test_half_precision_is_compared_in_float32():
    boxes, scores = make_boxes(100)
    boxes, scores = boxes.half(), scores.half()
    expected = nms(boxes.float(), scores.float(), 0.5)
    assert torch.equal(nms(boxes, scores, 0.5), expected)


def test_double_precision_is_kept():
    # IoU 0.5 + 1e-9: above the threshold in float64 alone
    boxes = torch.tensor([[0, 0, 2, 2], [0, 0, 2, 1]]).double()
    boxes[1, 3] += 2e-9
    scores = torch.tensor([2.0, 1.0])
    assert nms(boxes, scores, 0.5).tolist() == [0]
    assert nms(boxes.float(), scores, 0.5).tolist() == [0, 1]


def test_inputs_are_left_alone_and_may_need_gradients():
    boxes, scores = make_boxes(50)
    before = boxes.clone(), scores.clone()
    nms(boxes.requires_grad_(), scores.requires_grad_(), 0.5)
    assert torch.equal(boxes, before[0])
    assert torch.equal(scores, before[1])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'boxes': torch.zeros(3, 5)}, r'boxes .* \(3, 5\)'),
        ({'scores': torch.zeros(2)}, r'\(3,\) as boxes do, got \(2,\)'),
        ({'iou_threshold': 1.5}, 'got 1.5'),
        ({'iou_threshold': -0.5}, 'got -0.5'),
        ({'offset': 2}, 'offset must be 0 or 1, got 2'),
        ({'max_num': -1}, 'max_num must be at least 0, got -1'),
    ],
)
def test_wrong_input_is_named(change, message):
    good = {
        'boxes': torch.zeros(3, 4),
        'scores': torch.zeros(3),
        'iou_threshold': 0.5,
    }
    nms(**good)
    with pytest.raises(ValueError, match=message):
        nms(**good | change)
