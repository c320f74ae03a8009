import pytest

from mmps.datasets.records import FARTHEST, is_nowhere


@pytest.mark.parametrize(
    ('xywh', 'expected'),
    [
        ((0, 0, 1, 1), False),
        ((-5, -5, 5.5, 5.5), False),
        ((FARTHEST - 1, 0, 1, 1), False),
        ((-FARTHEST, 0, FARTHEST + 1, 1), False),
        ((-5, 0, 5, 9), True),
        ((0, -5, 9, 4), True),
        ((FARTHEST, 0, 1, 1), True),
        ((0, FARTHEST, 1, 1), True),
        ((-FARTHEST - 1, 0, FARTHEST + 9, 1), True),
        ((1e308, 0, 1e308, 1), True),  # its right side is infinite
        ((9, 9, 1e-30, 9), True),  # 9 + 1e-30 is 9
        ((9, 9, 9, 1e-30), True),
    ],
)
def test_a_box_that_no_image_shows(xywh, expected):
    assert is_nowhere(xywh) is expected
