"""Read a checkpoint file: intact, weights only, finite - or not at all.

Nothing in a checkpoint is ever executed. Pickles are read by torch's
restricted reader with the names of ``safe_globals`` and there is no way back
to the unrestricted one; configs inside checkpoints, which mmengine would run
as Python, are renamed to text that nothing reads.

Integrity comes first, because the restricted reader accepts some corrupted
files: a zip archive (what torch writes since 1.6) carries checksums of its
own; any other file (``.safetensors``, older ``.pth``) must have its SHA-256 in
its name, ``name-<8 or more hex digits>.pth``, or in a file ``<file>.sha256``
beside it as ``sha256sum`` writes it. Where that file is there, it counts for
archives too.
"""

import hashlib
import mmap
import re
import threading
import zipfile
from pathlib import Path

import torch

from .errors import CheckpointError
from .safe_globals import SAFE_GLOBALS
from .tensors import check_finite, check_tensors

_HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,64})\.\w+$')
_BYTEARRAY = (b'cbuiltins\nbytearray\n', b'c__builtin__\nbytearray\n')
_FOLDER = 0x10  # attribute of an entry
_LOAD_LOCK = threading.Lock()  # torch's list of safe names is process-wide


def load_checkpoint_file(
    path: str | Path, map_location=None, sha256: str | None = None
) -> dict:
    """Read a local ``.pth`` or ``.safetensors`` file.

    Args:
        path: '~' is expanded.
        map_location: Device that tensors are moved to, as in ``torch.load``;
            None leaves them where they were saved.
        sha256: The first 8 or more hex digits of the hash that it must have.

    Returns:
        What the file holds. ``meta['cfg']`` and ``meta['config']`` come back
        as ``meta['cfg_text']`` and ``meta['config_text']``. A safetensors
        file gives ``state_dict`` and ``meta`` (its strings).

    Raises:
        CheckpointError: Whatever is wrong; no other error.
    """
    try:
        path = Path(path).expanduser()
        there = path.is_file()
    except (OSError, RuntimeError) as error:  # too long, nobody's home
        raise CheckpointError(path, f'is no path: {error}') from error
    if not there:
        raise CheckpointError(
            path,
            'no such file',
            'Give the path of a checkpoint, or zoo://NAME; `mmps zoo list` '
            'shows the names',
        )
    if sha256 is not None:
        check_sha256(path, sha256)
    check_integrity(path, sha256)
    if path.suffix == '.safetensors':
        checkpoint = _read_safetensors(path, map_location)
    else:
        checkpoint = _read_torch(path, map_location)
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            path,
            f'holds a {type(checkpoint).__name__}, not a dict',
            'A checkpoint is a dict of tensors, or a dict with `state_dict`',
        )
    check_tensors(checkpoint, path, path.stat().st_size)
    check_finite(checkpoint, path)
    _disarm_configs(checkpoint)
    return checkpoint


def check_integrity(path: Path, sha256: str | None = None) -> None:
    """Raise CheckpointError unless the bytes are those that were written.

    Args:
        path: A zip archive, or any file with a known SHA-256.
        sha256: The first 8 or more hex digits. Without it, taken from the
            name of the file or from ``<file>.sha256``.
    """
    try:
        if _is_zip(path):
            _check_zip(path)
            if beside := _hash_beside(path):
                check_sha256(path, beside)
            return
        sha256 = sha256 or hash_in_name(path.name) or _hash_beside(path)
        if sha256 is None:
            raise CheckpointError(
                path,
                'not a zip archive: truncated, not a checkpoint, or of a '
                'kind without checksums (safetensors, torch before 1.6)',
                f'If you trust the file, confirm it with '
                f'sha256sum {path.name} > {path.name}.sha256',
            )
        check_sha256(path, sha256)
    except CheckpointError:
        raise
    except Exception as error:
        raise _corrupt(path, error) from error


def has_checksum(path: Path) -> bool:
    """Whether ``check_integrity`` can check a file without being told."""
    return (
        _is_zip(path)
        or hash_in_name(path.name) is not None
        or _hash_beside(path) is not None
    )


def check_sha256(path: Path, expected: str) -> None:
    """Compare a file with the first digits of its SHA-256."""
    with open(path, 'rb') as file:
        found = hashlib.file_digest(file, 'sha256').hexdigest()
    if not found.startswith(expected):
        raise CheckpointError(
            path,
            f'SHA-256 is {found[: len(expected)]}..., expected {expected}',
            'Delete the file and fetch it again',
        )


def hash_in_name(name: str) -> str | None:
    """Return 'f37072fd' for 'resnet18-f37072fd.pth', None for 'a-b.pth'."""
    match = _HASH_IN_NAME.search(name)
    return match[1] if match else None


def _is_zip(path: Path) -> bool:
    return path.suffix != '.safetensors' and zipfile.is_zipfile(path)


def _check_zip(path: Path) -> None:
    """Compare checksums, which torch does not, of all that torch reads."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        problem = _not_of_torch(entries, path.stat().st_size)
        if problem:
            raise CheckpointError(path, f'{problem}: not written by torch')
        damaged = archive.testzip()
    if damaged is not None:
        raise _corrupt(path, f'wrong checksum of {damaged}')


def _not_of_torch(entries: list[zipfile.ZipInfo], size: int) -> str:
    """What torch never writes, and might read as something else; '' if none.

    Args:
        entries: Of an archive.
        size: Bytes of the file.
    """
    # torch reads what begins otherwise as a file of torch before 1.6
    if min((entry.header_offset for entry in entries), default=1):
        return 'does not begin with its archive'
    if len({entry.filename for entry in entries}) < len(entries):
        return 'has two entries of one name'
    for entry in entries:
        # of a folder torch reads nothing, and leaves memory as it was
        if entry.is_dir() or entry.external_attr & _FOLDER:
            return f'{entry.filename} is a folder'
        if (
            entry.compress_type != zipfile.ZIP_STORED
            or entry.compress_size != entry.file_size
        ):  # a bomb would be
            return f'{entry.filename} is compressed'
    if sum(entry.file_size for entry in entries) > size:
        return 'its entries overlap'
    return ''


def _read_torch(path: Path, map_location) -> dict:
    try:
        _refuse_bytearrays(path)
        with _LOAD_LOCK, torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(
                path, map_location=map_location, weights_only=True
            )
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        refused = [line for line in reason if 'GLOBAL' in line]
        raise CheckpointError(
            path,
            f'cannot be read as weights: {(refused or reason)[0].strip()}',
            'Only tensors, numbers, strings and containers are read; ask '
            'the author of other files for the weights alone',
        ) from error


def read_meta(path: Path) -> dict:
    """What a file of this machine says of itself, without weights.

    Its checksums are not compared: that would take as long as to read it.

    Returns:
        Its ``meta``; {} if it has none or cannot be read.
    """
    try:
        if not _is_zip(path):
            return {}
        with zipfile.ZipFile(path) as archive:
            if _not_of_torch(archive.infolist(), path.stat().st_size):
                return {}
        _refuse_bytearrays(path)
        with _LOAD_LOCK, torch.serialization.safe_globals(SAFE_GLOBALS):
            content = torch.load(
                path, map_location='cpu', weights_only=True, mmap=True
            )
    except Exception:
        return {}
    meta = content.get('meta') if isinstance(content, dict) else None
    return meta if isinstance(meta, dict) else {}


def _refuse_bytearrays(path: Path) -> None:
    """Refuse a name that torch allows and that makes memory of a number.

    Its pickles spell names out; what a zip archive stores is not packed.
    """
    with (
        open(path, 'rb') as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        for name in _BYTEARRAY:
            if content.find(name) >= 0:
                raise ValueError('GLOBAL builtins.bytearray is refused')


def _read_safetensors(path: Path, map_location) -> dict:
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise CheckpointError(
            path, 'needs a package: pip install safetensors'
        ) from error
    device = map_location if isinstance(map_location, str) else 'cpu'
    try:
        with safe_open(path, 'pt', device=device) as file:
            # `file` is no dict, it only has keys
            state_dict = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            return dict(state_dict=state_dict, meta=file.metadata() or {})
    except Exception as error:
        raise _corrupt(path, error) from error


def _disarm_configs(checkpoint: dict) -> None:
    """Hide config text from ``Runner.resume`` and ``DetInferencer``."""
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        for name in ('cfg', 'config'):
            if name in meta:
                meta[f'{name}_text'] = meta.pop(name)
    hub = checkpoint.get('message_hub')
    if isinstance(hub, dict):
        for part in ('runtime_info', 'resumed_keys'):
            if isinstance(hub.get(part), dict):
                hub[part].pop('cfg', None)


def _hash_beside(path: Path) -> str | None:
    beside = path.with_name(f'{path.name}.sha256')
    if not beside.is_file():
        return None
    words = beside.read_text(errors='replace').split()
    if not words or not re.fullmatch('[0-9a-f]{64}', words[0]):
        raise CheckpointError(beside, 'does not start with a SHA-256')
    return words[0]


def _corrupt(path: Path, reason) -> CheckpointError:
    return CheckpointError(
        path,
        f'damaged or cut short: {reason}',
        'Fetch the file again, or resume from the checkpoint before it',
    )
