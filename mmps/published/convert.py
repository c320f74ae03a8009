"""Turn the tensors of a published file into weights of mmps.

Every key of the file is used or dropped for a reason that is named; no other
key may be there, none may be missing, and every shape must fit the others.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmps.checkpoints import CheckpointError

from .key_maps import COUNTER, RESPELT, TABLE, Network
from .source import Published, some

_TERM = re.compile(r'(\d*)([A-Z]\d?)')


@dataclass(frozen=True)
class Conversion:
    """A network of mmps.

    Attributes:
        state: Tensors by our keys, floats as float32.
        table: (P, D) float32, the lookup table.
        used: Number of tensors of the file in ``state``.
        dropped: Key or prefix of keys (ends in a dot) that were not used ->
            number of tensors.
        zeros: Our keys that were filled with zeros.
    """

    state: dict[str, Tensor]
    table: Tensor
    used: int
    dropped: dict[str, int]
    zeros: tuple[str, ...]


def convert_weights(published: Published, network: Network) -> Conversion:
    """Bring the tensors of a file under our keys.

    Raises:
        CheckpointError: Keys are unknown or missing, or a tensor has another
            shape or kind than the others ask for; names the first few.
    """
    source = published.path
    weights = _respelt(published)
    dropped = {
        key: prefix
        for key in weights
        for prefix in network.dropped
        if key == prefix or (prefix.endswith('.') and key.startswith(prefix))
    }
    needed = [*(move.theirs for move in network.moves), TABLE]
    unknown = sorted(weights.keys() - {*needed, *dropped})
    if unknown:
        raise CheckpointError(
            source,
            f'{len(unknown)} keys are not of {network.title}: {some(unknown)}',
            'Check --from; a network that was changed cannot be converted',
        )
    missing = [
        key
        for key in needed
        if key not in weights and not key.endswith(COUNTER)
    ]
    if missing:
        raise CheckpointError(
            source,
            f'{len(missing)} keys of {network.title} are missing: '
            f'{some(missing)}',
            'Check --from, and that the file is whole',
        )
    sizes: dict[str, int] = {}
    state = {}
    for move in network.moves:
        if move.theirs not in weights:
            continue  # the step counter of a BatchNorm
        value = weights[move.theirs]
        _check(move.theirs, value, move.shape, sizes, source)
        if move.rows is not None:
            value = value[list(move.rows)]
        state[move.ours] = _plain(value)
    table = weights[TABLE]
    _check(TABLE, table, ('P', network.embedding), sizes, source)
    for key, shape in network.zeros.items():
        state[key] = torch.zeros(
            [resolved_size(size, sizes) for size in shape]
        )
    return Conversion(
        state=state,
        table=_plain(table),
        used=len(state) - len(network.zeros),
        dropped=dict(Counter(dropped.values())),
        zeros=tuple(network.zeros),
    )


def _respelt(published: Published) -> dict[str, Tensor]:
    """The weights with the keys that the tables have."""
    weights = {}
    for key, value in published.weights.items():
        for new, old in RESPELT.items():
            if key.startswith(new):
                key = old + key.removeprefix(new)
        if key in weights:
            raise CheckpointError(published.path, f'has {key} in two ways')
        weights[key] = value
    return weights


def _check(
    key: str,
    value: Tensor,
    shape: tuple[int | str, ...],
    sizes: dict[str, int],
    source: Path,
) -> None:
    """Compare a shape; a symbol that is new gets its size from the tensor."""
    found = tuple(value.shape)
    if len(found) == len(shape):
        for size, number in zip(shape, found, strict=True):
            if isinstance(size, str) and size.isalnum() and size[0].isalpha():
                sizes.setdefault(size, number)
        expected = tuple(resolved_size(size, sizes) for size in shape)
    else:
        expected = shape
    if found != expected or 0 in found:
        raise CheckpointError(
            source,
            f'{key} has the shape {_text(found)}, expected {_text(expected)}',
            'Check --from; a network that was changed cannot be converted',
        )
    if value.is_floating_point() == key.endswith(COUNTER):
        kind = 'a whole number' if key.endswith(COUNTER) else 'floats'
        raise CheckpointError(source, f'{key} is {value.dtype}, not {kind}')


def resolved_size(size: int | str, sizes: Mapping[str, int]) -> int:
    """'D4+D5' or '16W' as a number."""
    if isinstance(size, int):
        return size
    terms = (_TERM.fullmatch(term) for term in size.split('+'))
    return sum(int(term[1] or 1) * sizes[term[2]] for term in terms)


def _plain(value: Tensor) -> Tensor:
    """On the CPU, in memory of its own; floats as float32."""
    value = value.detach().cpu()
    if value.is_floating_point():
        value = value.float()
    return value.clone(memory_format=torch.contiguous_format)


def _text(shape: tuple[int | str, ...]) -> str:
    return ' x '.join(map(str, shape)) or 'of a single number'
