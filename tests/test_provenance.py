"""Text in a checkpoint that says it is a config is read, never run."""

import pytest

from mmps.checkpoints import CheckpointError
from mmps.provenance import read_config_text


def test_what_mmengine_writes_is_read():
    text = "a = dict(b=[1, (2, -3)], c={'d': None})\ne = -inf\n"
    assert read_config_text(text, 'x.pth') == {
        'a': {'b': [1, [2, -3]], 'c': {'d': None}},
        'e': float('-inf'),
    }


@pytest.mark.parametrize(
    'text',
    [
        *('import os', "a = __import__('os')", 'a = open', 'a.b = 1'),
        *("a = -'b'", 'a = {[]: 1}', 'a = f"{1}"', 'a = [1 for _ in "b"]'),
        *(
            'a = ' + '-' * 50_000 + '1',
            'a = ' + '(' * 500,
            'a = b' + '.c' * 9999,
        ),
        *('a = ' + '9' * 5000, 'a = "\0"', 'a = "\ud800"', None, 5),
    ],
)
def test_all_else_is_refused(text):
    with pytest.raises(CheckpointError, match=r'x\.pth: the config in its'):
        read_config_text(text, 'x.pth')
