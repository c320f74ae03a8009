"""Make the file that is released: the network as it is tested, no more."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from mmps.engine import CheckpointError, write_atomically

from .index import ReleasedFile

#: A teacher beside the student, which only training needs.
_TEACHER = 'distiller.'


def released_state(
    state: Mapping[str, Tensor], leave_out: Sequence[str], half: bool
) -> dict[str, Tensor]:
    """The tensors of a release.

    Args:
        state: Of a training checkpoint.
        leave_out: Prefixes of keys that only training needs.
        half: Whether floats become float16.

    Raises:
        CheckpointError: A value is too large for float16.
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
                    key, 'is not finite in float16', 'Publish float32'
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

    Args:
        state: Of ``released_state``.
        metadata: Strings.
        folder: Where to.
        name: Of the entry.

    Returns:
        Its path is below the parent of ``folder``.
    """
    from safetensors.torch import save

    return write_hashed(
        save(dict(state), dict(metadata)), folder, name, '.safetensors'
    )


def write_hashed(
    content: bytes, folder: Path, name: str, suffix: str
) -> ReleasedFile:
    """Write ``<name>-<first digits of its SHA-256><suffix>``."""
    sha256 = hashlib.sha256(content).hexdigest()
    path = folder / f'{name}-{sha256[:8]}{suffix}'
    write_atomically(path, content)
    return ReleasedFile(f'{folder.name}/{path.name}', sha256, len(content))
