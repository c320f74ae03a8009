"""Read MATLAB 5 files, with little memory and nothing but ``DatasetError``.

A test protocol of CUHK-SYSU with galleries of 4 000 holds 11.6 million
structs. ``scipy.io.loadmat`` makes some arrays for each (8 microseconds and
1 kB per struct, measured: 13 GB in all); here the elements of a variable come
one at a time, and a leaf that was seen before (a file name, an empty box) is
not decoded again. Sizes that a file claims are compared with the bytes that
it has before anything is allocated, so a damaged file cannot ask for the
machine's memory.

MATLAB's kinds become plain values:

    char            str
    numbers         read-only numpy array, shaped as in the file
    cell array      list, column by column
    struct array    dict, field -> list of the field of every element, so
                    that a lone struct is no special case

Source: "MAT-File Format", The MathWorks, chapter 1 (Level 5 MAT-files).
"""

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import DatasetError

Read = Callable[[int], bytes]

_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = dict(
    zip(
        range(6, 16),
        ('f8', 'f4', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8'),
        strict=True,
    )
)
_STORED = {
    1: '<i1',
    2: '<u1',
    3: '<i2',
    4: '<u2',
    5: '<i4',
    6: '<u4',
    7: '<f4',
    9: '<f8',
    12: '<i8',
    13: '<u8',
}
_CODECS = {
    1: 'latin-1',
    2: 'latin-1',
    4: 'utf-16-le',
    16: 'utf-8',
    17: 'utf-16-le',
    18: 'utf-32-le',
}
_TAG = struct.Struct('<II')
_CHUNK = 1 << 18  # bytes that are read or inflated at once
_MAX_ELEMENT = 1 << 28  # bytes; the largest real one has about 1 MB
_MAX_DIMS = 8
_MAX_DEPTH = 8
_MAX_CACHED = 128  # bytes of a leaf that is worth remembering
_MAX_CACHE = 1 << 17  # leaves


class _BrokenError(Exception):
    """What is wrong with the bytes, without the name of the file."""


@dataclass(frozen=True)
class _Header:
    name: str
    kind: int
    dims: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.dims)


def read_mat(path: str | Path, *names: str):
    """Return the first of the named variables that the file holds."""
    found = {}
    with _errors_name(path), open(path, 'rb') as file:
        for header, read in _variables(file):
            wanted = header.name in names
            found[header.name] = _value(header, read, {}) if wanted else None
    for name in names:
        if found.get(name) is not None:
            return found[name]
    raise _not_found(path, names, found)


def iter_mat(path: str | Path, name: str) -> Iterator:
    """Yield the elements of a cell or struct array, one at a time.

    Yields:
        The value of a cell, or a dict with the fields of one struct.
    """
    found = []
    with _errors_name(path), open(path, 'rb') as file:
        for header, read in _variables(file):
            found.append(header.name)
            if header.name == name:
                yield from _rows(header, read, {})
    if name not in found:
        raise _not_found(path, (name,), found)


def _not_found(path, names, found) -> DatasetError:
    return DatasetError(
        path,
        f'has no variable {" or ".join(map(repr, names))}, it holds '
        f'{sorted(found)}',
        'is this the file that the layout means? (docs/datasets.md)',
    )


@contextmanager
def _errors_name(path: str | Path):
    """Turn every way in which reading can fail into a ``DatasetError``."""
    hint = 'copy it again from its source'
    try:
        yield
    except FileNotFoundError:
        raise DatasetError(
            path, 'no such file', 'is the root right? (docs/datasets.md)'
        ) from None
    except OSError as error:
        raise DatasetError(path, f'cannot be read: {error}') from error
    except zlib.error as error:
        raise DatasetError(path, f'is damaged: {error}', hint) from error
    except (_BrokenError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(path, f'is damaged: {error}', hint) from error


def _variables(file) -> Iterator[tuple[_Header, Read]]:
    """Yield header and contents of each variable of an open file."""
    head = file.read(128)
    if head.startswith((b'MATLAB 7.3', b'\x89HDF')):
        raise _BrokenError('it is a MATLAB 7.3 (HDF5) file, resave with -v7')
    if len(head) < 128 or head[124:] != b'\x00\x01IM':
        raise _BrokenError('it does not start as a MATLAB 5 file')
    while tag := file.read(8):
        if len(tag) < 8:
            raise _BrokenError('it ends in the middle of a variable')
        kind, size = _TAG.unpack(tag)
        end = file.tell() + size
        source = _Source(file, size, inflate=kind == _COMPRESSED)
        if kind == _COMPRESSED:
            kind, size = _TAG.unpack(_take(source.read, 8))
        if kind != _MATRIX:
            raise _BrokenError(f'expected a variable, got type {kind}')
        yield _header(source.read), source.read
        source.close()
        file.seek(end)


class _Source:
    """The bytes of one variable, inflated on the way if need be."""

    def __init__(self, file, size: int, inflate: bool):
        self.file = file
        self.left = size
        self.inflater = zlib.decompressobj() if inflate else None
        self.ready = io.BytesIO()

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        parts = [self.ready.read(size)]
        missing = size - len(parts[0])
        while missing and (more := self._more()):
            self.ready = io.BytesIO(more)
            parts.append(self.ready.read(missing))
            missing -= len(parts[-1])
        return b''.join(parts)

    def close(self) -> None:
        """Check the end of a variable that was read to its end.

        zlib compares its checksum there; a variable that was left out is
        not checked.
        """
        if self.inflater is None or self.left or self.read(1):
            return
        if not self.inflater.eof:
            raise _BrokenError('it ends in the middle of a variable')

    def _more(self) -> bytes:
        if self.inflater is None:
            return self._stored()
        while not self.inflater.eof:
            packed = self.inflater.unconsumed_tail or self._stored()
            data = self.inflater.decompress(packed, _CHUNK)
            if data or not packed:
                return data
        return b''

    def _stored(self) -> bytes:
        data = self.file.read(min(self.left, _CHUNK))
        self.left -= len(data)
        return data


def _take(read: Read, size: int) -> bytes:
    if size > _MAX_ELEMENT:
        raise _BrokenError(f'an element claims to have {size} bytes')
    data = read(size)
    if len(data) != size:
        raise _BrokenError('it ends in the middle of a variable')
    return data


def _element(read: Read) -> tuple[int, bytes]:
    """Read one element that is no matrix: its type and its bytes."""
    tag = _take(read, 8)
    kind, size = _TAG.unpack(tag)
    if kind >> 16:  # up to four bytes are stored in the tag itself
        return kind & 0xFFFF, tag[4 : 4 + min(kind >> 16, 4)]
    data = _take(read, size)
    read(-size % 8)
    return kind, data


def _header(read: Read) -> _Header:
    flags = _element(read)[1]
    dims = _element(read)[1]
    name = _element(read)[1]
    if len(flags) != 8 or len(dims) % 4 or len(dims) > 4 * _MAX_DIMS:
        raise _BrokenError('a variable has a malformed header')
    if flags[1] & 0x08:
        raise _BrokenError('complex numbers where none belong')
    dims = struct.unpack(f'<{len(dims) // 4}i', dims)
    if len(dims) < 2 or min(dims) < 0:
        raise _BrokenError(f'a variable has dimensions {dims}')
    return _Header(name.decode('latin-1'), flags[0], dims)


def _fields(read: Read) -> list[str]:
    width = int.from_bytes(_element(read)[1], 'little')
    names = _element(read)[1]
    if not 0 < width <= 64:
        raise _BrokenError(f'struct field names of {width} characters')
    cuts = range(0, len(names), width)
    return [
        names[i : i + width].split(b'\0')[0].decode('latin-1') for i in cuts
    ]


def _rows(header: _Header, read: Read, cache: dict) -> Iterator:
    """Yield the elements of a container, each decoded when it is reached."""
    if header.kind == _STRUCT:
        fields = _fields(read)
        for _ in range(header.count):
            yield {name: _next_matrix(read, cache) for name in fields}
    elif header.kind == _CELL:
        for _ in range(header.count):
            yield _next_matrix(read, cache)
    else:
        raise _BrokenError(f'{header.name} is no cell or struct array')


def _next_matrix(read: Read, cache: dict):
    kind, size = _TAG.unpack(_take(read, 8))
    if kind != _MATRIX:
        raise _BrokenError(f'expected a matrix, got type {kind}')
    return _decode(_take(read, size), cache, depth=0)


def _value(header: _Header, read: Read, cache: dict):
    """Decode a whole variable."""
    if header.kind not in (_CELL, _STRUCT):
        return _leaf(header, read)
    rows = list(_rows(header, read, cache))
    if header.kind == _CELL:
        return rows
    return (
        {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    )


def _leaf(header: _Header, read: Read):
    kind, data = _element(read) if header.count else (1, b'')
    if header.kind == _CHAR:
        if kind not in _CODECS:
            raise _BrokenError(f'text of type {kind}')
        return data.decode(_CODECS[kind])
    if header.kind not in _NUMBERS or kind not in _STORED:
        raise _BrokenError(f'a variable of class {header.kind}, type {kind}')
    array = np.frombuffer(data, _STORED[kind]).astype(_NUMBERS[header.kind])
    array = array.reshape(header.dims, order='F')
    array.setflags(write=False)
    return array


def _decode(data: bytes, cache: dict, depth: int):
    """Decode the inside of a matrix element."""
    if not data:  # how MATLAB stores [] in a cell
        return np.zeros((0, 0))
    stream = io.BytesIO(data)
    header = _header(stream.read)
    if header.kind == _STRUCT:
        fields = _fields(stream.read)
        flat = _children(
            data, stream.tell(), header.count * len(fields), cache, depth
        )
        return {name: flat[i :: len(fields)] for i, name in enumerate(fields)}
    if header.kind == _CELL:
        return _children(data, stream.tell(), header.count, cache, depth)
    return _leaf(header, stream.read)


def _children(
    data: bytes, at: int, count: int, cache: dict, depth: int
) -> list:
    """Decode ``count`` matrices that lie one behind the other.

    The hot loop of this file: 35 million turns for the largest protocol.
    """
    if count * 8 > len(data) - at:
        raise _BrokenError(f'{count} elements in {len(data) - at} bytes')
    if depth > _MAX_DEPTH:
        raise _BrokenError(f'nested more than {_MAX_DEPTH} deep')
    values = []
    for _ in range(count):
        if at + 8 > len(data):
            raise _BrokenError('it ends in the middle of a variable')
        kind, size = _TAG.unpack_from(data, at)
        inside = data[at + 8 : at + 8 + size]
        at += 8 + size
        value = cache.get(inside)
        if value is None:
            if kind != _MATRIX or at > len(data):
                raise _BrokenError('an element reaches beyond its variable')
            value = _decode(inside, cache, depth + 1)
            if size <= _MAX_CACHED and len(cache) < _MAX_CACHE:
                cache[inside] = value
        values.append(value)
    return values
