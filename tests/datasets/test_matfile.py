"""SciPy, which reads the same format in its own way, is the oracle."""

import random
import struct
import time
import tracemalloc
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.io import loadmat, savemat

from mmps.datasets.errors import DatasetError
from mmps.datasets.matfile import CELL, STRUCT, iter_mat, read_mat

from .layouts import cells, structs


def plain(value):
    """Turn what SciPy returns into our plain values."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.names:
        flat = value.ravel(order='F')
        return {
            name: [plain(v) for v in flat[name]] for name in value.dtype.names
        }
    if value.dtype == object:
        return [plain(v) for v in value.ravel(order='F')]
    if value.dtype.kind == 'U':
        return ''.join(value.ravel())
    return value


def same(a, b) -> bool:
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape) == (b.dtype, b.shape) and np.array_equal(
            a, b, equal_nan=a.dtype.kind == 'f'
        )
    return a == b


NUMBERS = hnp.arrays(
    dtype=st.sampled_from(['u1', 'u2', 'i4', 'f4', 'f8', 'i8']),
    shape=hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=4),
)
TEXT = st.text(
    st.characters(codec='ascii', exclude_characters='\0'), max_size=9
)
VALUES = st.recursive(
    NUMBERS | TEXT,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(cells)
        | st.lists(st.tuples(inner, inner), min_size=1, max_size=3).map(
            lambda rows: structs(('first', 'second_field'), rows)
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(value=VALUES, compressed=st.booleans())
def test_reads_what_scipy_reads(tmp_path_factory, value, compressed):
    path = tmp_path_factory.mktemp('mat') / 'a.mat'
    savemat(path, {'other': 1, 'x': value}, do_compression=compressed)
    expected = plain(loadmat(path, chars_as_strings=True)['x'])
    if isinstance(expected, np.ndarray):
        expected = expected.astype(np.asarray(value).dtype)
    got = read_mat(path, 'x')
    assert same(got, expected)


def test_a_double_matrix_is_double_however_it_is_stored(tmp_path):
    # MATLAB stores [5 250 10 20] of class double as four bytes of uint8
    header = b'MATLAB 5.0 MAT-file'.ljust(124) + b'\x00\x01IM'
    inside = struct.pack('<IIII', 6, 8, 6, 0)  # class 6: double
    inside += struct.pack('<IIii', 5, 8, 1, 4)
    inside += struct.pack('<HH4s', 1, 1, b'x')
    inside += struct.pack('<HH4B', 2, 4, 5, 250, 10, 20)  # type 2: uint8
    path = tmp_path / 'a.mat'
    path.write_bytes(header + struct.pack('<II', 14, len(inside)) + inside)
    got = read_mat(path, 'x')
    assert got.dtype == np.float64
    assert (got + got)[0].tolist() == [10, 500, 20, 40]


def test_elements_come_one_at_a_time(tmp_path):
    rows = [(f'n{i}', np.full((1, i), i)) for i in range(4)]
    path = tmp_path / 'a.mat'
    for compressed in (False, True):
        savemat(
            path,
            {'s': structs(('a', 'b'), rows), 'c': cells(['x', 'y'])},
            do_compression=compressed,
        )
        got = list(iter_mat(path, 's', STRUCT))
        assert [row['a'] for row in got] == ['n0', 'n1', 'n2', 'n3']
        assert [row['b'].shape for row in got][1:] == [(1, 1), (1, 2), (1, 3)]
        assert list(iter_mat(path, 'c', CELL)) == ['x', 'y']


def test_the_first_name_is_preferred(tmp_path):
    path = tmp_path / 'a.mat'
    savemat(path, {'old': 'o', 'new': 'n'})
    assert read_mat(path, 'new', 'old') == 'n'
    assert read_mat(path, 'newer', 'old') == 'o'


def test_a_missing_variable_names_those_that_are_there(tmp_path):
    path = tmp_path / 'a.mat'
    savemat(path, {'apple': 1, 'pear': 2})
    with pytest.raises(DatasetError, match=r"'plum'.*\['apple', 'pear'\]"):
        read_mat(path, 'plum')
    with pytest.raises(DatasetError, match=r"'plum'.*\['apple', 'pear'\]"):
        list(iter_mat(path, 'plum', CELL))


def test_a_variable_of_another_kind(tmp_path):
    path = tmp_path / 'a.mat'
    savemat(path, {'x': cells(['a'])})
    with pytest.raises(DatasetError, match='x is no struct array'):
        list(iter_mat(path, 'x', STRUCT))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'does not start as'),
        (b'<html>' * 50, 'does not start as'),
        (b'MATLAB 7.3 MAT-file'.ljust(200), 'resave with -v7'),
    ],
)
def test_another_format(tmp_path, content, message):
    path = tmp_path / 'a.mat'
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_mat(path, 'x')


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(DatasetError, match=r'nothing\.mat: no such file'):
        read_mat(tmp_path / 'nothing.mat', 'x')
    with pytest.raises(DatasetError, match='cannot be read'):
        read_mat(tmp_path, 'x')


def sample(path, compressed):
    rows = [(f's{i}.jpg', np.full((1, 4), i, np.uint16)) for i in range(20)]
    people = structs(('imname', 'idlocate'), rows)
    savemat(
        path,
        {'Img': structs(('imname', 'box'), [('s', people)] * 5)},
        do_compression=compressed,
    )
    return path.read_bytes()


@pytest.mark.parametrize('compressed', [False, True])
def test_no_prefix_of_a_file_is_accepted(tmp_path, compressed):
    path = tmp_path / 'a.mat'
    content = sample(path, compressed)
    step = max(1, len(content) // 200)
    for size in range(0, len(content), step):
        path.write_bytes(content[:size])
        with pytest.raises(DatasetError):
            read_mat(path, 'Img')


@pytest.mark.parametrize('compressed', [False, True])
def test_flipped_bytes_never_crash_hang_or_eat_memory(tmp_path, compressed):
    path = tmp_path / 'a.mat'
    content = sample(path, compressed)
    draw = random.Random(0)
    tracemalloc.start()
    for _ in range(600):
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 1, 2, 8))):
            damaged[draw.randrange(len(damaged))] = draw.choice(
                (0, 255, 127, 14, draw.randrange(256))
            )
        path.write_bytes(damaged)
        start = time.process_time()
        with suppress(DatasetError):
            read_mat(path, 'Img')
        assert time.process_time() - start < 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_a_size_beyond_the_file_is_refused_before_it_is_allocated(tmp_path):
    path = tmp_path / 'a.mat'
    savemat(path, {'x': cells(['a', 'b'])})
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack('<IIii', 5, 8, 2, 1)) + 8
    content[at : at + 8] = struct.pack('<ii', 2**31 - 1, 2**31 - 1)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match='damaged'):
        read_mat(path, 'x')


def element(kind, content):
    padding = bytes(-len(content) % 8)
    return struct.pack('<II', kind, len(content)) + content + padding


def packed(path, kind, count, content):
    """A file with one packed variable x of a class, written by hand."""
    inside = (
        element(6, struct.pack('<II', kind, 0))
        + element(5, struct.pack('<ii', 1, count))
        + element(1, b'x')
        + content
    )
    data = zlib.compress(element(14, inside), 9)
    head = b'MATLAB 5.0'.ljust(124) + b'\x00\x01IM'
    path.write_bytes(head + struct.pack('<II', 15, len(data)) + data)
    return path


@pytest.mark.parametrize(
    ('kind', 'size', 'content', 'message'),
    [
        (6, 10**6, element(9, bytes(8 * 10**6)), 'inflates to more than 128'),
        (1, 10**5, struct.pack('<II', 14, 0) * 10**5, 'too many elements'),
        (
            2,
            10**5,
            element(5, struct.pack('<I', 2))
            + element(1, b'a\0')
            + struct.pack('<II', 14, 0) * 10**5,
            'too many elements',
        ),
        (
            1,
            1,
            element(
                14,
                element(6, struct.pack('<II', 1, 0))
                + element(5, struct.pack('<ii', 1, 10**5))
                + element(1, b'')
                + struct.pack('<II', 14, 0) * 10**5,
            ),
            'too many elements',
        ),
    ],
    ids=['numbers', 'cells', 'structs', 'nested cells'],
)
def test_a_small_file_does_not_become_a_large_value(
    kind, size, content, message, tmp_path
):
    path = packed(tmp_path / 'a.mat', kind, size, content)
    assert path.stat().st_size < 10_000
    with pytest.raises(DatasetError, match=message) as caught:
        read_mat(path, 'x')
    assert str(path) in str(caught.value)
    if kind != 6:
        with pytest.raises(DatasetError, match=message):
            list(iter_mat(path, 'x', kind))


def test_what_repeats_itself_as_protocols_do_is_read(tmp_path):
    path = tmp_path / 'a.mat'
    rows = [(f's{i % 50}.jpg', np.zeros((0, 0))) for i in range(4000)]
    savemat(
        path,
        {'x': structs(('imname', 'idlocate'), rows)},
        do_compression=True,
    )
    found = read_mat(path, 'x')
    assert found['imname'] == [name for name, _ in rows]
