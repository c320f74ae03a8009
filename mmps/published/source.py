"""Read the weights of a file that somebody else has written."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mmps.checkpoints import CheckpointError, load_checkpoint_file
from mmps.checkpoints.reading import has_checksum
from mmps.checkpoints.tensors import check_finite

_SHOWN = 5


@dataclass(frozen=True)
class Published:
    """What a file of other authors holds.

    Attributes:
        weights: Tensors by their keys.
        path: Of the file.
        sha256: 64 hex digits.
    """

    weights: Mapping[str, Tensor]
    path: Path
    sha256: str


def read_published(path: str | Path, sha256: str | None = None) -> Published:
    """Read the weights of a file that somebody else has written.

    Nothing in it is executed: only tensors, numbers, strings and plain
    containers are read.

    Args:
        path: A torch pickle, new or old, with the weights under ``model``.
        sha256: The first 8 or more digits of the hash that it must have.
            Needed for a file without checksums of its own.

    Raises:
        CheckpointError: It is damaged, cannot be vouched for (says its hash
            and what to run), asks for more than weights, or has none.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(
            path, 'no such file', '`mmps zoo list --external` says whence'
        )
    with open(path, 'rb') as file:
        found = hashlib.file_digest(file, 'sha256').hexdigest()
    if sha256 is None and not has_checksum(path):
        raise CheckpointError(
            path,
            'has no checksums (torch before 1.6 wrote none), so nothing '
            f'would show that it is damaged. Its SHA-256 is {found}',
            'Compare it with that of its authors, or of another download; if '
            f'you trust the file, run this again with --sha256 {found}',
        )
    checkpoint = load_checkpoint_file(path, 'cpu', sha256)
    weights = checkpoint.get('model')
    if not isinstance(weights, dict) or not weights:
        raise CheckpointError(
            path,
            f'has no weights under `model`; it has {some(checkpoint)}',
            'Give the training checkpoint as its authors have published it',
        )
    other = [k for k, v in weights.items() if not isinstance(v, Tensor)]
    if other:
        raise CheckpointError(path, f'no tensors: model.{some(other)}')
    check_finite({'state_dict': weights}, path)
    return Published(weights, path, found)


def some(names: Iterable) -> str:
    """The first few names, then how many more there are."""
    names = [str(name) for name in names]
    more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return (', '.join(names[:_SHOWN]) or 'nothing') + more
