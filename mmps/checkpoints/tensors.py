"""Whether what was read as tensors holds what it claims to hold, all finite.

A file of some kilobytes can name tensors of any size: torch reads a tensor as
a view of a storage, and a view may repeat what the storage holds. Nothing is
computed with a tensor before its numbers are known to be in the file.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from .errors import CheckpointError

_DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    *(torch.bool, torch.complex64, torch.complex128),
)
#: Numbers that are looked at together; bounds memory.
_BLOCK = 1 << 20
#: As NumPy has it; work on a tensor grows with their square.
_MAX_DIMENSIONS = 64
#: How many times the bytes of a storage may be used by tensors.
_MAX_SHARED = 32


def check_tensors(checkpoint: dict, path: str | Path, size: int) -> None:
    """Refuse tensors, wherever they are, that the file does not hold.

    Tensors may share a storage, as tied weights do, and may show a part of
    it; a view that repeats numbers is refused.

    Args:
        checkpoint: What was read.
        path: Named in the error.
        size: Bytes of the file, which hold all storages.

    Raises:
        CheckpointError: A tensor is sparse, quantised, on the meta device, of
            a type or number of dimensions that no network here has, or larger
            than its storage.
    """
    storages: dict[int, int] = {}
    shown: dict[int, int] = {}
    for place, tensor in _tensors(checkpoint):
        problem = _not_plain(tensor)
        if problem:
            raise CheckpointError(
                path,
                f'{place} {problem}',
                'Save the weights as plain tensors: .to_dense(), .float(), '
                '.contiguous()',
            )
        storage = tensor.untyped_storage()
        address, held = storage.data_ptr(), storage.nbytes()
        needed = tensor.numel() * tensor.element_size()
        storages[address] = held
        shown[address] = shown.get(address, 0) + needed
        if shown[address] > _MAX_SHARED * held:
            raise CheckpointError(
                path,
                f'{place} is one of more than {_MAX_SHARED} tensors that '
                f'share the same {held:,} bytes',
                'Save each of them on its own: .clone()',
            )
    if sum(storages.values()) > size:
        raise CheckpointError(
            path,
            f'its tensors take {sum(storages.values()):,} bytes, the file '
            f'has {size:,}',
            'It was not written by torch.save; ask for another file',
        )


def check_finite(checkpoint: dict, path: str | Path) -> None:
    """Refuse weights with NaN or infinity, naming the first few."""
    bad = []
    for part in ('state_dict', 'ema_state_dict'):
        tensors = checkpoint.get(part, {})
        if part == 'state_dict' and part not in checkpoint:
            tensors = checkpoint  # a plain dict of tensors
        if not isinstance(tensors, dict):
            raise CheckpointError(
                path, f'{part} is a {type(tensors).__name__}, not a dict'
            )
        bad += [
            key
            for key, value in tensors.items()
            if isinstance(value, Tensor) and not _is_finite(value)
        ]
    if bad:
        raise CheckpointError(
            path,
            f'{len(bad)} tensors hold NaN or infinity: '
            + ', '.join(map(str, bad[:5]))
            + (', ...' if len(bad) > 5 else ''),
            'The run that wrote them diverged; use an earlier checkpoint',
        )


def is_backed(tensor: Tensor) -> bool:
    """Whether a strided tensor has no more numbers than its storage."""
    needed = tensor.numel() * tensor.element_size()
    return needed <= tensor.untyped_storage().nbytes()


def _not_plain(tensor: Tensor) -> str:
    """What keeps a tensor from being read, '' if nothing does."""
    if type(tensor) not in (Tensor, nn.Parameter):
        return f'is a {type(tensor).__name__}, not a tensor'
    if tensor.is_nested or tensor.layout != torch.strided:
        layout = 'nested' if tensor.is_nested else tensor.layout
        return f'is not dense ({layout})'
    if tensor.is_meta:
        return 'is on the meta device: the file does not hold its values'
    if tensor.dtype not in _DTYPES:
        return f'is of type {tensor.dtype}, which is not read'
    if tensor.dim() > _MAX_DIMENSIONS:
        return f'has {tensor.dim():,} dimensions'
    if not is_backed(tensor):
        return (
            f'has shape {list(tensor.shape)}, and the file holds only '
            f'{tensor.untyped_storage().nbytes():,} bytes for it'
        )
    return ''


def _tensors(content: dict) -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested containers, with their places.

    Each container is entered once: a file may nest them in circles.
    """
    seen, waiting = set(), [('', content)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, Tensor):
            yield place, value
            continue
        if isinstance(value, dict):
            inside = value.items()
        elif isinstance(value, list | tuple | set):
            inside = enumerate(value)
        else:
            continue
        if id(value) not in seen:
            seen.add(id(value))
            waiting += [
                (f'{place}.{key}' if place else str(key), item)
                for key, item in inside
            ]


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    return all(bool(torch.isfinite(b).all()) for b in _blocks(tensor.detach()))


def _blocks(tensor: Tensor) -> Iterator[Tensor]:
    """Cut a tensor, however it lies in memory, into parts of some size."""
    parts = math.ceil(tensor.numel() / _BLOCK)
    if parts <= 1:
        yield tensor
        return
    longest = max(range(tensor.dim()), key=lambda dim: tensor.shape[dim])
    for part in tensor.chunk(parts, longest):
        yield from _blocks(part)
