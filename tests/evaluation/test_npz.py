import json

import numpy as np
import pytest

from mmps.evaluation.npz import Kind, meta_entry, read_npz, write_npz

KIND = Kind('toy', 3, 'toy box', 'write_toy')


def write(path, kind=KIND):
    write_npz(path, dict(meta=meta_entry(kind, {'a': 1}), x=np.arange(4)))


def test_arrays_and_notes_come_back(tmp_path):
    path = tmp_path / 'deep' / 'toy.npz'
    write(path)
    total, meta = read_npz(path, KIND, lambda f, meta: (f['x'].sum(), meta))
    assert total == 6
    assert meta == {'format': 'toy', 'version': 3, 'a': 1}
    assert [p.name for p in path.parent.iterdir()] == ['toy.npz']
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(str(file['meta'])) == meta


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        (KIND._replace(version=4), 'version 4, this program reads 3'),
        (KIND._replace(format='box'), "its format is not 'toy'"),
    ],
)
def test_other_kinds_are_refused(kind, message, tmp_path):
    path = tmp_path / 'toy.npz'
    write(path, kind)
    whole = rf'toy\.npz: not a readable toy box \({message}\); .*write_toy'
    with pytest.raises(ValueError, match=whole):
        read_npz(path, KIND, lambda file, meta: None)


def test_nonsense_inside_is_refused_with_its_reason(tmp_path):
    path = tmp_path / 'toy.npz'
    write(path)
    with pytest.raises(
        ValueError, match=r'not a readable toy box .*y is not a'
    ):
        read_npz(path, KIND, lambda file, meta: file['y'])
    with pytest.raises(FileNotFoundError, match='write_toy writes one'):
        read_npz(tmp_path / 'none.npz', KIND, lambda file, meta: None)
