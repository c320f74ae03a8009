"""Writer of MATLAB 5 files that stores numbers as MATLAB itself does.

MATLAB keeps the whole numbers of a double matrix in the smallest integer type
that holds them; this is why loaders meet boxes of uint8 and of uint16 in one
file. ``scipy.io.savemat`` cannot write that, and takes minutes for the 35
million small matrices of the galleries of 4000, which are joined here from
ready-made bytes.

Every function returns the bytes of one element; ``write`` puts them in a file.

Source: "MAT-File Format", The MathWorks, chapter 1 (version 5).
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

_MI = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f8': 9}
_MI_MATRIX, _MI_COMPRESSED, _MI_UTF8 = 14, 15, 16
_MX_CELL, _MX_STRUCT, _MX_CHAR, _MX_DOUBLE = 1, 2, 4, 6
_NAME_LENGTH = 32  # bytes of a field name, with its closing zero


def _element(kind: int, data: bytes) -> bytes:
    if 0 < len(data) <= 4:  # the short form: tag and data in eight bytes
        return struct.pack('<HH', kind, len(data)) + data.ljust(4, b'\0')
    padding = -len(data) % 8
    return struct.pack('<II', kind, len(data)) + data + b'\0' * padding


def _head(mx_class: int, shape: Sequence[int], name: str) -> bytes:
    return (
        _element(_MI['u4'], struct.pack('<II', mx_class, 0))
        + _element(_MI['i4'], struct.pack(f'<{len(shape)}i', *shape))
        + _element(_MI['i1'], name.encode())
    )


def _matrix(body: bytes) -> bytes:
    return struct.pack('<II', _MI_MATRIX, len(body)) + body


def _storage(values: np.ndarray) -> str:
    """Return the smallest type that MATLAB would keep ``values`` in."""
    if values.size == 0 or (values != np.floor(values)).any():
        return 'f8'
    for kind in ('u1', 'i1', 'u2', 'i2', 'u4', 'i4'):
        limits = np.iinfo(kind)
        if values.min() >= limits.min and values.max() <= limits.max:
            return kind
    return 'f8'


def numbers(values, name: str = '', storage: str | None = None) -> bytes:
    """Return a double matrix.

    Args:
        values: Array-like, at most 2-d; 0-d and 1-d become one row.
        name: Set for a variable of the file, empty inside other elements.
        storage: Type on disk, as 'f8'; None for MATLAB's own choice.
    """
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    kind = storage or _storage(values)
    data = values.astype('<' + kind).tobytes(order='F')
    head = _head(_MX_DOUBLE, values.shape, name)
    return _matrix(head + _element(_MI[kind], data))


def text(value: str) -> bytes:
    """Return a 1xn character matrix."""
    head = _head(_MX_CHAR, (1, len(value)), '')
    return _matrix(head + _element(_MI_UTF8, value.encode('ascii')))


def cells(items: Sequence[bytes], name: str = '') -> bytes:
    """Return an nx1 cell array of elements."""
    head = _head(_MX_CELL, (len(items), 1), name)
    return _matrix(head + b''.join(items))


def struct_head(fields: Sequence[str], count: int, name: str = '') -> bytes:
    """Return all of a 1xn structure but its tag and its values."""
    names = b''.join(f.encode().ljust(_NAME_LENGTH, b'\0') for f in fields)
    return (
        _head(_MX_STRUCT, (1, count), name)
        + _element(_MI['i4'], struct.pack('<i', _NAME_LENGTH))
        + _element(_MI['i1'], names)
    )


def structs(
    fields: Sequence[str], rows: Sequence[bytes], name: str = ''
) -> bytes:
    """Return a 1xn structure.

    Args:
        fields: Names of the fields.
        rows: One value each: the elements of all fields, joined.
        name: Name of a variable; '' for a part of another element.
    """
    return _matrix(struct_head(fields, len(rows), name) + b''.join(rows))


def write_file(path: Path, *variables: bytes) -> Path:
    """Write a file of the named elements ``variables``; return its path."""
    with open(path, 'wb') as file:
        file.write(_file_header())
        for variable in variables:
            packed = zlib.compress(variable, 1)
            file.write(struct.pack('<II', _MI_COMPRESSED, len(packed)))
            file.write(packed)
    return path


def write_long_structs(
    path: Path,
    fields: Sequence[str],
    count: int,
    name: str,
    rows: Callable[[], Iterable[bytes]],
) -> Path:
    """Write a file of one structure that is too long for memory.

    Args:
        path: File to write.
        fields: Names of the fields.
        count: Number of rows.
        name: Name of the variable.
        rows: Returns a fresh iterator over the rows; it is called twice,
            because the length stands in front.

    Returns:
        The path.
    """
    head = struct_head(fields, count, name)
    length = len(head) + sum(len(row) for row in rows())
    if length >= 2**32:
        raise ValueError(
            f'{path}: {name} takes {length} bytes, MATLAB 5 files end at '
            f'{2**32}; use smaller galleries'
        )
    packer = zlib.compressobj(1)
    with open(path, 'wb') as file:
        file.write(_file_header())
        start = file.tell()
        file.write(struct.pack('<II', _MI_COMPRESSED, 0))
        file.write(packer.compress(struct.pack('<II', _MI_MATRIX, length)))
        file.write(packer.compress(head))
        for row in rows():
            file.write(packer.compress(row))
        file.write(packer.flush())
        packed = file.tell() - start - 8
        file.seek(start)
        file.write(struct.pack('<II', _MI_COMPRESSED, packed))
    return path


def _file_header() -> bytes:
    note = b'MATLAB 5.0 MAT-file, synthetic person search data by mmps'
    return note.ljust(124) + struct.pack('<H', 0x0100) + b'IM'
