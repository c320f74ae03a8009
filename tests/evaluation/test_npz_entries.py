import io
import zipfile

import numpy as np
import pytest

from mmps.evaluation.npz import Kind, meta_entry, read_npz

KIND = Kind('toy', 3, 'toy box', 'write_toy')
META = np.array(meta_entry(KIND, {}))


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(shape, descr="'<f8'"):
    """An array of these words and no elements."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"
    size = len(text).to_bytes(2, 'little')
    return b'\x93NUMPY\x01\x00' + size + text.encode()


def written(tmp_path, x, meta=META, packed=zipfile.ZIP_STORED):
    path = tmp_path / 'toy.npz'
    with zipfile.ZipFile(path, 'w', packed) as archive:
        archive.writestr('meta.npy', saved(meta))
        archive.writestr('x.npy', x)
    return path


def read(path):
    return read_npz(path, KIND, lambda file, meta: file['x'])


def test_what_savez_writes_is_read(tmp_path):
    path = tmp_path / 'toy.npz'
    for x in (np.eye(3, order='F'), np.array(1), np.array(['a', 'bc'])):
        np.savez(path, meta=META, x=x)
        np.testing.assert_array_equal(read(path), x)


@pytest.mark.parametrize(
    ('x', 'reason'),
    [
        (header((10**12,)), 'its header says 8,000,000,0'),
        (header((10**12,), "'<U0'"), 'its header says 1,000,000,0'),
        (header((0, 10**12)) + b'12345678', 'x.npy has '),
        (header((0,), "'|O'"), 'Python objects'),
        (header('(' * 4000 + ')' * 4000), 'Cannot parse header'),
        (header('-' * 9000 + '1'), ''),
        (header('((((1L'), ''),
        (b'\x93NUMPY\x07\x00', 'version'),
        (b'text', 'magic'),
    ],
)
def test_an_array_of_another_size_is_refused(x, reason, tmp_path):
    path = written(tmp_path, x)
    with pytest.raises(ValueError, match='not a readable toy box') as caught:
        read(path)
    assert reason in str(caught.value)
    assert 'write_toy' in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_packed_entry_is_refused(tmp_path):
    packed = zipfile.ZIP_DEFLATED
    path = written(tmp_path, saved(np.zeros(10**5)), packed=packed)
    with pytest.raises(ValueError, match=r'packed: np\.savez writes'):
        read(path)


def test_entries_that_overlap_are_refused(tmp_path):
    path = written(tmp_path, saved(np.zeros(1000)))
    content = path.read_bytes()
    entry = content.index(b'PK\x01\x02', content.rindex(b'x.npy') - 50)
    end = content.index(b'PK\x05\x06')
    directory = content[content.index(b'PK\x01\x02') : end]
    many = directory + content[entry:end] * 20
    tail = bytearray(content[end:])
    tail[8:10] = tail[10:12] = (22).to_bytes(2, 'little')
    tail[12:16] = len(many).to_bytes(4, 'little')
    path.write_bytes(content[: content.index(b'PK\x01\x02')] + many + tail)
    assert len(zipfile.ZipFile(path).infolist()) == 22
    with pytest.raises(ValueError, match='entries overlap'):
        read(path)


def test_an_entry_that_calls_itself_encrypted_is_refused(tmp_path):
    path = written(tmp_path, saved(np.zeros(9)))
    content = bytearray(path.read_bytes())
    content[content.index(b'PK\x01\x02') + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'not a readable .*encrypted'):
        read(path)


def test_text_nested_without_end_is_refused(tmp_path):
    path = written(tmp_path, saved(np.zeros(1)), np.array('[' * 10**5))
    with pytest.raises(ValueError, match='recursion'):
        read(path)
