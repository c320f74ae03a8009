import pytest

from mmps.datasets.errors import DatasetError
from mmps.datasets.json_files import read_json


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (b'[1, {"a": null}]', [1, {'a': None}]),
        (rb'"\ud83d\ude00 \\ud800"', '\N{GRINNING FACE} \\ud800'),
    ],
)
def test_what_is_read(content, expected, tmp_path):
    (tmp_path / 'a.json').write_bytes(content)
    assert read_json(tmp_path / 'a.json') == expected


@pytest.mark.parametrize(
    'content',
    [
        *(b'', b'{', b'"\xff"', rb'"\ud800"', rb'{"a\udfff": 1}'),
        *(b'[' * 100_000, b'[' + b'9' * 5000 + b']', '[1]'.encode('utf-16')),
    ],
)
def test_what_is_refused(content, tmp_path):
    (tmp_path / 'a.json').write_bytes(content)
    with pytest.raises(DatasetError, match=r'a\.json: cannot be read as JSON'):
        read_json(tmp_path / 'a.json')
