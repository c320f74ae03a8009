"""Make the file that is released: the network as it is tested, no more."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from mmps.checkpoints import CheckpointError, write_atomically

from .index import ReleasedFile

#: A teacher beside the student, which only training needs.
_TEACHER = 'distiller.'


def released_state(
    state: Mapping[str, Tensor], leave_out: Sequence[str], half: bool
) -> dict[str, Tensor]:
    """The tensors of a release.

    Args:
        state: ``state_dict`` of a training checkpoint.
        leave_out: Prefixes of keys that only training needs.
        half: Whether floats become float16.

    Raises:
        CheckpointError: A value is too large, as for float16.
    """
    prefixes = (_TEACHER, *leave_out)
    kept = {}
    for key, value in state.items():
        key = key.removeprefix('module.')
        if key.startswith(prefixes):
            continue
        if value.is_floating_point():
            value = value.half() if half else value.float()
            if not value.isfinite().all():
                raise CheckpointError(
                    key,
                    f'is not finite in {value.dtype}',
                    'Publish float32' if half else '',
                )
        kept[key] = value.detach().cpu().contiguous()
    return kept


def write_weights(
    state: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    folder: Path,
    name: str,
) -> ReleasedFile:
    """Write a safetensors file with its hash in its name.

    The same tensors and strings give the same file.

    Args:
        state: Tensors by name, as ``released_state`` gives them.
        metadata: Strings.
        folder: Where to.
        name: Name of the entry; begins the name of the file.

    Returns:
        Its path is below the parent of ``folder``.
    """
    content = safetensors_bytes(state, metadata)
    return write_hashed(content, folder, name, '.safetensors')


def safetensors_bytes(
    state: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> bytes:
    """Content of a safetensors file, always the same of the same tensors.

    Args:
        state: Tensors by name, each contiguous and in memory of its own.
        metadata: Strings.
    """
    from safetensors.torch import save

    return _sorted_header(save(dict(state), dict(metadata)))


def _sorted_header(content: bytes) -> bytes:
    """A safetensors file with its strings sorted, which come in any order.

    Its layout: length of the header (8 bytes, little-endian), JSON padded by
    blanks to a multiple of 8 bytes, tensors.
    """
    end = 8 + int.from_bytes(content[:8], 'little')
    header = json.loads(content[8:end])
    header['__metadata__'] = dict(sorted(header['__metadata__'].items()))
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + content[end:]


def write_hashed(
    content: bytes, folder: Path, name: str, suffix: str
) -> ReleasedFile:
    """Write ``<name>-<first digits of its SHA-256><suffix>``."""
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / f'{name}-{sha256[:8]}{suffix}'
    write_atomically(path, content)
    return ReleasedFile(f'{folder.name}/{path.name}', sha256, len(content))
