"""Decode the elements of a MATLAB 5 file.

A matrix is a header (class, dimensions, name) and what is in it; cells and
structs hold matrices again. Sizes that a file claims are compared with the
bytes that it has before anything is allocated, so a damaged file cannot ask
for the machine's memory. Whatever is wrong raises ``BrokenError``.

Source: "MAT-File Format", The MathWorks, chapter 1 (Level 5 MAT-files).
"""

import io
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Read = Callable[[int], bytes]

MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, _CHAR = 1, 2, 4
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
TAG = struct.Struct('<II')
_MAX_ELEMENT = 1 << 28  # bytes; the largest real one has about 1 MB
_MAX_DIMS = 8
_MAX_DEPTH = 8
_MAX_CACHED = 128  # bytes of a leaf that is worth remembering
_MAX_CACHE = 1 << 17  # leaves
#: Elements of a variable, for each byte that it takes in the file, and in any
#: case. The densest test protocol has one for two bytes.
_ELEMENTS_PER_BYTE, _FREE_ELEMENTS = 4, 10_000


class BrokenError(Exception):
    """What is wrong with the bytes, without the name of the file."""


@dataclass(frozen=True)
class Header:
    name: str
    kind: int
    dims: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.dims)


class Memory:
    """What reading one variable may cost, and what it has seen.

    Args:
        size: Bytes of the variable in the file, packed or not.
    """

    def __init__(self, size: int) -> None:
        #: Bytes of a leaf -> its value.
        self.leaves: dict[bytes, object] = {}
        self._left = _ELEMENTS_PER_BYTE * size + _FREE_ELEMENTS

    def spend(self, elements: int) -> None:
        """Count elements before they are decoded."""
        self._left -= elements
        if self._left < 0:
            raise BrokenError('a variable has too many elements for its size')


def take(read: Read, size: int) -> bytes:
    if size > _MAX_ELEMENT:
        raise BrokenError(f'an element claims to have {size} bytes')
    data = read(size)
    if len(data) != size:
        raise BrokenError('it ends in the middle of a variable')
    return data


def _element(read: Read) -> tuple[int, bytes]:
    """Read one element that is no matrix: its type and its bytes."""
    tag = take(read, 8)
    kind, size = TAG.unpack(tag)
    if kind >> 16:  # up to four bytes are stored in the tag itself
        return kind & 0xFFFF, tag[4 : 4 + min(kind >> 16, 4)]
    data = take(read, size)
    read(-size % 8)
    return kind, data


def read_header(read: Read) -> Header:
    flags = _element(read)[1]
    dims = _element(read)[1]
    name = _element(read)[1]
    if len(flags) != 8 or len(dims) % 4 or len(dims) > 4 * _MAX_DIMS:
        raise BrokenError('a variable has a malformed header')
    if flags[1] & 0x08:
        raise BrokenError('complex numbers where none belong')
    dims = struct.unpack(f'<{len(dims) // 4}i', dims)
    if len(dims) < 2 or min(dims) < 0:
        raise BrokenError(f'a variable has dimensions {dims}')
    return Header(name.decode('latin-1'), flags[0], dims)


def _fields(read: Read) -> list[str]:
    width = int.from_bytes(_element(read)[1], 'little')
    names = _element(read)[1]
    if not 0 < width <= 64:
        raise BrokenError(f'struct field names of {width} characters')
    cuts = range(0, len(names), width)
    return [
        names[i : i + width].split(b'\0')[0].decode('latin-1') for i in cuts
    ]


def iter_elements(header: Header, read: Read, memory: Memory) -> Iterator:
    """Yield the elements of a container, each decoded when it is reached."""
    if header.kind == STRUCT:
        fields = _fields(read)
        if not fields:
            raise BrokenError(f'{header.name} has structs without fields')
        for _ in range(header.count):
            memory.spend(len(fields))
            yield {name: _next_matrix(read, memory) for name in fields}
    elif header.kind == CELL:
        for _ in range(header.count):
            memory.spend(1)
            yield _next_matrix(read, memory)
    else:
        raise BrokenError(f'{header.name} is no cell or struct array')


def _next_matrix(read: Read, memory: Memory):
    kind, size = TAG.unpack(take(read, 8))
    if kind != MATRIX:
        raise BrokenError(f'expected a matrix, got type {kind}')
    return _decode(take(read, size), memory, depth=0)


def read_value(header: Header, read: Read, memory: Memory):
    """Decode a whole variable."""
    if header.kind not in (CELL, STRUCT):
        return _leaf(header, read)
    rows = list(iter_elements(header, read, memory))
    if header.kind == CELL:
        return rows
    return (
        {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    )


def _leaf(header: Header, read: Read):
    kind, data = _element(read) if header.count else (1, b'')
    if header.kind == _CHAR:
        if kind not in _CODECS:
            raise BrokenError(f'text of type {kind}')
        return data.decode(_CODECS[kind])
    if header.kind not in _NUMBERS or kind not in _STORED:
        raise BrokenError(f'a variable of class {header.kind}, type {kind}')
    array = np.frombuffer(data, _STORED[kind]).astype(_NUMBERS[header.kind])
    array = array.reshape(header.dims, order='F')
    array.setflags(write=False)
    return array


def _decode(data: bytes, memory: Memory, depth: int):
    """Decode the inside of a matrix element."""
    if not data:  # how MATLAB stores [] in a cell
        return np.zeros((0, 0))
    stream = io.BytesIO(data)
    header = read_header(stream.read)
    if header.kind == STRUCT:
        fields = _fields(stream.read)
        flat = _children(
            data, stream.tell(), header.count * len(fields), memory, depth
        )
        return {name: flat[i :: len(fields)] for i, name in enumerate(fields)}
    if header.kind == CELL:
        return _children(data, stream.tell(), header.count, memory, depth)
    return _leaf(header, stream.read)


def _children(
    data: bytes, at: int, count: int, memory: Memory, depth: int
) -> list:
    """Decode ``count`` matrices that lie one behind the other.

    The hot loop of this file: 35 million turns for the largest protocol.
    """
    if count * 8 > len(data) - at:
        raise BrokenError(f'{count} elements in {len(data) - at} bytes')
    if depth > _MAX_DEPTH:
        raise BrokenError(f'nested more than {_MAX_DEPTH} deep')
    memory.spend(count)
    cache, values = memory.leaves, []
    for _ in range(count):
        if at + 8 > len(data):
            raise BrokenError('it ends in the middle of a variable')
        kind, size = TAG.unpack_from(data, at)
        inside = data[at + 8 : at + 8 + size]
        at += 8 + size
        value = cache.get(inside)
        if value is None:
            if kind != MATRIX or at > len(data):
                raise BrokenError('an element reaches beyond its variable')
            value = _decode(inside, memory, depth + 1)
            if size <= _MAX_CACHED and len(cache) < _MAX_CACHE:
                cache[inside] = value
        values.append(value)
    return values
