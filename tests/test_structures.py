import pytest

from mmps.structures import split_result_key


@pytest.mark.parametrize(
    ('key', 'parts'),
    [
        ('G100/mAP', ('G100', 'mAP')),
        ('det/recall-labelled', ('det', 'recall-labelled')),
        ('G50+cws/top-1', ('G50+cws', 'top-1')),
        ('own/morning/mAP', ('own/morning', 'mAP')),
    ],
)
def test_a_result_key_is_a_row_and_a_figure(key, parts):
    assert split_result_key(key) == parts
