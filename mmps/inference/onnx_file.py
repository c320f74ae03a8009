"""Read an ONNX file of a stranger: its notes, and that it is one file.

An ONNX file is a protobuf message. Two things are to be known before a
runtime gets it: the notes of mmps (``metadata_props``), and whether a tensor
lies in another file (external data), which could be any file of this
computer. Both are found by a walk through the fields of the message; no
weight is copied, and neither onnx nor protobuf is needed.

A message says nothing of damage, least of all in its weights. So the last
field of a file of mmps is a seal: a note with the SHA-256 of all before it.

Source: the message types of ``onnx.proto``, and the wire format of protocol
buffers: a field is a key (number << 3 | kind), then a varint (kind 0), 8
bytes (1), a length and so many bytes (2), or 4 bytes (5).
"""

import hashlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from mmps.errors import InputError

#: Message -> field -> message inside of it, down to all tensors. Types that
#: hold no tensor are left out.
_INSIDE = {
    'model': {7: 'graph', 25: 'function'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'function': {7: 'node', 11: 'attribute'},
    'node': {5: 'attribute'},
    'attribute': {
        **{5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph'},
        **{22: 'sparse', 23: 'sparse'},
    },
    'sparse': {1: 'tensor', 2: 'tensor'},
    'tensor': {},
}
_METADATA = 14  # of a model: metadata_props
_EXTERNAL, _LOCATION = 13, 14  # of a tensor: external_data, data_location
#: Key of the note that is the seal.
SEAL = 'sha256'
#: Messages inside messages; a graph in a graph counts three.
_DEEPEST = 40


class OnnxFile(NamedTuple):
    """Content of an ONNX file.

    Attributes:
        path: Where it was read.
        content: All of it.
        notes: Its ``metadata_props``.
    """

    path: Path
    content: bytes
    notes: dict[str, str]


class _Damaged(Exception):
    """The bytes are no message."""


def read_onnx(path: str | PathLike) -> OnnxFile:
    """Read an ONNX file whose tensors are all inside.

    A file without a seal, as other programs write them, is read too.

    Raises:
        InputError: There is none, it is damaged, or a tensor lies elsewhere.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(path, f'cannot be read: {error.strerror}') from error
    view = memoryview(content)
    try:
        tensor = _external_tensor(view, 'model', 0)
        notes = dict(_notes(view))
        if SEAL in notes and not _is_sealed(view):
            raise _Damaged
    except (_Damaged, UnicodeDecodeError) as error:
        raise InputError(
            path,
            'is no ONNX file, or it is damaged',
            'Export the network again: mmps export',
        ) from error
    if tensor:
        raise InputError(
            path,
            'has weights in another file (external data), which is refused: '
            'it could name any file of this computer',
            'Export the network again: mmps export writes one file',
        )
    return OnnxFile(path, content, notes)


def sealed(content: bytes) -> bytes:
    """The bytes of an ONNX file with their seal behind them."""
    return content + _seal(content)


def _seal(content: bytes | memoryview) -> bytes:
    """A field of ``metadata_props``; its lengths are below 128."""
    digest = hashlib.sha256(content).hexdigest()
    entry = _text_field(1, SEAL.encode()) + _text_field(2, digest.encode())
    return _text_field(_METADATA, entry)


def _text_field(number: int, text: bytes) -> bytes:
    return bytes([number << 3 | 2, len(text)]) + text


def _is_sealed(content: memoryview) -> bool:
    end = max(0, len(content) - len(_seal(b'')))
    return content[end:] == _seal(content[:end])


def _external_tensor(data: memoryview, kind: str, depth: int) -> bool:
    """Whether a tensor of a message lies in another file."""
    if depth > _DEEPEST:
        raise _Damaged
    for number, value in _fields(data):
        if kind == 'tensor':
            is_external = number == _EXTERNAL
            is_external |= number == _LOCATION and value == 1
            if is_external:
                return True
        inner = _INSIDE[kind].get(number)
        if inner and _external_tensor(_message(value), inner, depth + 1):
            return True
    return False


def _notes(data: memoryview) -> Iterator[tuple[str, str]]:
    for number, value in _fields(data):
        if number == _METADATA:
            entry = dict(_fields(_message(value)))
            yield tuple(
                bytes(_message(entry.get(key, memoryview(b'')))).decode()
                for key in (1, 2)
            )


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Damaged
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: bytes, or a whole number."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _varint(data, place)
        else:
            if kind == 2:
                size, place = _varint(data, place)
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
            else:
                raise _Damaged
            value = data[place : place + size]
            if len(value) < size:
                raise _Damaged
            place += size
        yield number, value


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first; and what follows."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise _Damaged
