"""Plain arrays in one ``.npz`` file, written whole and read without pickle."""

import json
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from mmps.atomic_files import open_atomically

from .npz_entries import check_entries

T = TypeVar('T')
#: What NumPy, zipfile and those who make a result of arrays raise on nonsense.
_DAMAGE = (
    *(AttributeError, EOFError, LookupError, OSError, TypeError, ValueError),
    *(ArithmeticError, MemoryError, RuntimeError),
    *(SyntaxError, struct.error, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error),
)
_MAX_REASON = 200


class Kind(NamedTuple):
    """What a file is, noted in its entry ``meta``.

    Attributes:
        format: Name of the format, noted in the file and compared on reading.
        version: Of the layout; another one is not read.
        noun: What people call it, for errors.
        maker: What writes one, for errors.
    """

    format: str
    version: int
    noun: str
    maker: str


def write_npz(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray]
) -> None:
    """Write arrays; the file appears whole or not at all.

    Args:
        path: Its folder is made if it does not exist.
        arrays: Name -> array.
    """
    with open_atomically(path, shared=True) as file:
        np.savez(file, **arrays)


def meta_entry(kind: Kind, notes: Mapping[str, object]) -> np.ndarray:
    """The array ``meta`` of a file: JSON of its kind and of ``notes``."""
    meta = {'format': kind.format, 'version': kind.version, **notes}
    return np.array(json.dumps(meta))


def read_npz(
    path: str | os.PathLike, kind: Kind, parse: Callable[..., T]
) -> T:
    """Read a file that has an entry ``meta``.

    Args:
        path: Path of the ``.npz`` file.
        kind: What it must be.
        parse: Makes the result of the open file and the notes of ``meta``;
            what it raises on a file that holds nonsense becomes ValueError.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not of this kind, of another version, or damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'{path}: no such file; {kind.maker} writes one'
        )
    try:
        # opened here: np.load leaves a damaged file open
        with Path(path).open('rb') as raw:
            if not zipfile.is_zipfile(raw):
                raise ValueError('it is no .npz file, or was cut short')
            check_entries(raw)
            raw.seek(0)
            file = np.load(raw, allow_pickle=False)
            return parse(file, _read_meta(file, kind))
    except _DAMAGE as error:
        reason = str(error).partition('\n')[0] or type(error).__name__
        if len(reason) > _MAX_REASON:
            reason = f'{reason[:_MAX_REASON]}...'
        raise ValueError(
            f'{path}: not a readable {kind.noun} ({reason}); write it again '
            f'with {kind.maker}'
        ) from error


def _read_meta(file, kind: Kind) -> dict:
    if not isinstance(file, np.lib.npyio.NpzFile) or 'meta' not in file:
        raise ValueError("it has no entry 'meta'")
    meta = json.loads(str(file['meta']))
    if not isinstance(meta, dict) or meta.get('format') != kind.format:
        raise ValueError(f"its format is not '{kind.format}'")
    if meta.get('version') != kind.version:
        raise ValueError(
            f'version {meta.get("version")}, this program reads {kind.version}'
        )
    return meta
