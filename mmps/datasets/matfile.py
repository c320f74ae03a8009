"""Read MATLAB 5 files, with little memory and nothing but ``DatasetError``.

A test protocol of CUHK-SYSU with galleries of 4 000 holds 11.6 million
structs. ``scipy.io.loadmat`` makes some arrays for each (8 microseconds and
1 kB per struct, measured: 13 GB in all); here the elements of a variable come
one at a time, and a leaf that was seen before (a file name, an empty box) is
not decoded again.

MATLAB's kinds become plain values:

    char            str
    numbers         read-only numpy array, shaped as in the file
    cell array      list, column by column
    struct array    dict, field -> list of the field of every element, so
                    that a lone struct is no special case
"""

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DatasetError
from .mat_elements import (
    CELL,
    COMPRESSED,
    MATRIX,
    STRUCT,
    TAG,
    BrokenError,
    Header,
    Memory,
    iter_elements,
    read_header,
    read_value,
    take,
)

__all__ = ['CELL', 'STRUCT', 'first', 'iter_mat', 'read_mat', 'text_of']

_CHUNK = 1 << 18  # bytes that are read or inflated at once
#: Of a packed variable: bytes for each byte in the file, and in any case. The
#: most repetitive test protocol has 30.
_MAX_RATIO, _FREE_BYTES = 128, 1 << 20


def read_mat(path: str | Path, *names: str):
    """Return the first of the named variables that the file holds."""
    found = {}
    with _errors_name(path), open(path, 'rb') as file:
        for header, source in _variables(file):
            found[header.name] = None
            if header.name in names:
                found[header.name] = read_value(
                    header, source.read, source.memory
                )
                source.check_end()
    for name in names:
        if found.get(name) is not None:
            return found[name]
    raise _not_found(path, names, found)


def iter_mat(path: str | Path, name: str, kind: int) -> Iterator:
    """Yield the elements of a variable, one at a time.

    Args:
        path: The file.
        name: The variable.
        kind: What it must be: ``STRUCT`` yields a dict with the fields of
            one struct, ``CELL`` the value of one cell.
    """
    found = []
    with _errors_name(path), open(path, 'rb') as file:
        for header, source in _variables(file):
            found.append(header.name)
            if header.name == name:
                if header.kind != kind:
                    what = 'struct' if kind == STRUCT else 'cell'
                    raise BrokenError(f'{name} is no {what} array')
                yield from iter_elements(header, source.read, source.memory)
                source.check_end()
    if name not in found:
        raise _not_found(path, (name,), found)


def first(columns: object) -> dict:
    """Take the first element of a struct array, {} if there is none."""
    if not isinstance(columns, dict):
        return {}
    return {name: column[0] for name, column in columns.items() if column}


def text_of(file: str | Path, row: dict, field: str) -> str:
    """Return a field of a struct that has to be text."""
    value = row.get(field)
    if not isinstance(value, str) or not value:
        raise DatasetError(file, f'an entry has no text in field {field!r}')
    return value


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
    except (BrokenError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(path, f'is damaged: {error}', hint) from error


def _variables(file) -> Iterator[tuple[Header, '_Source']]:
    """Yield header and contents of each variable of an open file."""
    head = file.read(128)
    if head.startswith((b'MATLAB 7.3', b'\x89HDF')):
        raise BrokenError('it is a MATLAB 7.3 (HDF5) file, resave with -v7')
    if len(head) < 128 or head[124:] != b'\x00\x01IM':
        raise BrokenError('it does not start as a MATLAB 5 file')
    while tag := file.read(8):
        if len(tag) < 8:
            raise BrokenError('it ends in the middle of a variable')
        kind, size = TAG.unpack(tag)
        end = file.tell() + size
        source = _Source(file, size, inflate=kind == COMPRESSED)
        if kind == COMPRESSED:
            kind, size = TAG.unpack(take(source.read, 8))
        if kind != MATRIX:
            raise BrokenError(f'expected a variable, got type {kind}')
        yield read_header(source.read), source
        file.seek(end)


class _Source:
    """The bytes of one variable, inflated on the way if need be."""

    def __init__(self, file, size: int, inflate: bool):
        self.file = file
        self.left = size
        self.inflater = zlib.decompressobj() if inflate else None
        self.ready = io.BytesIO()
        self.may_inflate = _MAX_RATIO * size + _FREE_BYTES
        self.memory = Memory(size)

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        parts = [self.ready.read(size)]
        missing = size - len(parts[0])
        while missing and (more := self._more()):
            self.ready = io.BytesIO(more)
            parts.append(self.ready.read(missing))
            missing -= len(parts[-1])
        return b''.join(parts)

    def check_end(self) -> None:
        """Inflate what is left, because zlib compares its checksum there."""
        while self.inflater and self.read(_CHUNK):
            pass
        if self.inflater and not self.inflater.eof:
            raise BrokenError('it ends in the middle of a variable')

    def _more(self) -> bytes:
        if self.inflater is None:
            return self._stored()
        while not self.inflater.eof:
            packed = self.inflater.unconsumed_tail or self._stored()
            data = self.inflater.decompress(packed, _CHUNK)
            self.may_inflate -= len(data)
            if self.may_inflate < 0:
                raise BrokenError(
                    f'a variable inflates to more than {_MAX_RATIO} times its '
                    'size'
                )
            if data or not packed:
                return data
        return b''

    def _stored(self) -> bytes:
        data = self.file.read(min(self.left, _CHUNK))
        self.left -= len(data)
        return data
