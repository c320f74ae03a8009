import numpy as np
import pytest
from scipy.io import loadmat

from mmps.synthetic import mat5


def read(tmp_path, *variables):
    mat5.write_file(tmp_path / 'x.mat', *variables)
    return loadmat(tmp_path / 'x.mat')


@pytest.mark.parametrize(
    ('values', 'dtype'),
    [
        ([1, 2, 3, 255], np.uint8),
        ([1, 2, 3, 256], np.uint16),
        ([1, 2, 3, 65536], np.uint32),
        ([-1, 2], np.int8),
        ([-1, 200], np.int16),
        ([0.5, 2], np.float64),
        (np.zeros((1, 0)), np.float64),
    ],
)
def test_numbers_take_the_smallest_type_as_in_matlab(tmp_path, values, dtype):
    found = read(tmp_path, mat5.numbers(values, 'x'))['x']
    assert found.dtype == dtype
    assert np.array_equal(found, np.atleast_2d(values))


def test_the_class_is_double_whatever_the_type_on_disk(tmp_path):
    mat5.write_file(tmp_path / 'x.mat', mat5.numbers([1, 2], 'x'))
    found = loadmat(tmp_path / 'x.mat', mat_dtype=True)['x']
    assert found.dtype == np.float64


def test_a_matrix_keeps_its_rows(tmp_path):
    values = np.arange(10.0).reshape(2, 5) / 4
    found = read(tmp_path, mat5.numbers(values, 'x', storage='f8'))['x']
    assert np.array_equal(found, values)


def test_structures_cells_and_text(tmp_path):
    inner = mat5.structs(
        ('name', 'box'),
        [mat5.text(n) + mat5.numbers([1, k]) for k, n in enumerate('ab')],
    )
    found = read(
        tmp_path,
        mat5.cells([inner, mat5.text('s18184.jpg')], 'x'),
        mat5.numbers(7, 'y'),
    )
    assert found['x'].shape == (2, 1)
    assert found['x'][0, 0].dtype.names == ('name', 'box')
    assert found['x'][0, 0].shape == (1, 2)
    assert found['x'][0, 0]['name'][0, 1][0] == 'b'
    assert found['x'][0, 0]['box'][0, 1].tolist() == [[1, 1]]
    assert found['x'][1, 0][0] == 's18184.jpg'
    assert found['y'] == 7


def test_a_long_structure_equals_a_short_one(tmp_path):
    rows = [mat5.numbers([k, 300]) + mat5.text(f's{k}') for k in range(50)]
    mat5.write_long_structs(
        tmp_path / 'long.mat', ('a', 'b'), 50, 'x', lambda: iter(rows)
    )
    long = loadmat(tmp_path / 'long.mat')['x']
    short = read(tmp_path, mat5.structs(('a', 'b'), rows, 'x'))['x']
    assert long.shape == short.shape == (1, 50)
    assert long.dtype == short.dtype
    for a, b in zip(long[0], short[0], strict=True):
        assert np.array_equal(a['a'], b['a'])
        assert a['b'] == b['b']


def test_a_structure_beyond_the_format_is_refused(tmp_path):
    rows = [range(2**31), range(2**31)]  # anything that has a length
    with pytest.raises(ValueError, match=r'TestG9 takes .* smaller galleries'):
        mat5.write_long_structs(
            tmp_path / 'x.mat', ('a',), 2, 'TestG9', lambda: rows
        )
    assert not (tmp_path / 'x.mat').exists()
