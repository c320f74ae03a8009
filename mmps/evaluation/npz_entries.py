"""Whether the arrays of an ``.npz`` file are as large as they claim."""

import math
import zipfile
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def check_entries(file: BinaryIO) -> None:
    """Refuse arrays that take more memory than the file has bytes for them.

    A packed entry of some kilobytes can inflate to gigabytes, and a header
    can ask for any size before an element is read. What ``np.savez`` writes
    is not packed.

    Args:
        file: Open, anywhere; is left at its end.

    Raises:
        ValueError: An entry is packed, or is not an array of its size.
        Exception: NumPy's or zipfile's, of a damaged file.
    """
    end = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        _check_packed(entries)
        if sum(entry.file_size for entry in entries) > end:
            raise ValueError('its entries overlap')
        for entry in entries:
            with archive.open(entry) as content:
                size = _claimed_size(content)
            if size != entry.file_size:
                raise ValueError(
                    f'{entry.filename} has {entry.file_size:,} bytes, its '
                    f'header says {size:,}'
                )


def _check_packed(entries: Sequence[zipfile.ZipInfo]) -> None:
    for entry in entries:
        stored = entry.compress_type == zipfile.ZIP_STORED
        if not stored or entry.compress_size != entry.file_size:
            raise ValueError(
                f'{entry.filename} is packed: np.savez writes what is read, '
                'np.savez_compressed does not'
            )


def _claimed_size(content) -> int:
    """Bytes that an array and its header take, by the header."""
    version = np.lib.format.read_magic(content)
    if version not in _HEADERS:
        raise ValueError(f'an array of version {version}')
    shape, _, dtype = _HEADERS[version](content)
    if dtype.hasobject:
        raise ValueError('it holds Python objects, which are never loaded')
    # elements without a byte, such as empty texts, are counted as one
    return content.tell() + math.prod(shape) * max(dtype.itemsize, 1)
