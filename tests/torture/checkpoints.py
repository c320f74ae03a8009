"""Damaged checkpoints, released weights and lookup tables."""

import hashlib
import io
import os
from collections import OrderedDict
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from mmps.checkpoints import CheckpointError, load_checkpoint_file
from mmps.distillation import IdentityTable, read_table, write_table
from mmps.zoo.publish import safetensors_bytes

from .damage import Subject, look_at_all, quiet
from .trial import Trial


def attack(trial: Trial) -> str:
    """Read damaged files of each kind, in turn."""
    with quiet():
        subjects = _subjects(trial.folder)
        tally = look_at_all(trial, subjects, CheckpointError)
    if trial.done >= 1000:
        with trial.attempt(trial.done):
            for kind, subject in subjects.items():
                assert bool(tally.right[kind]) != subject.known
                assert tally.refused[kind] > 50
    return str(tally)


def _subjects(folder: Path) -> dict[str, Subject]:
    weights = _weights()
    legacy = _saved(weights, zipped=False)
    released = safetensors_bytes(weights, {'dataset': 'synthetic'})
    table = IdentityTable(
        torch.linspace(-1, 1, 24).view(4, 6),
        tuple(f'p{number}' for number in range(4)),
        'nowhere',
        'a campaign',
    )
    write_table(table, folder / 'whole.pth')
    of_identities = {
        'state_dict': {
            'roi_head.oim_head.loss_oim.table': torch.rand(
                3, 8, generator=torch.Generator().manual_seed(0)
            )
        }
    }

    def checkpoint(name: str, content: bytes, known: bool = False) -> Subject:
        return Subject(folder / name, content, _read_checkpoint, known)

    found = {
        'training checkpoint': checkpoint('epoch_3.pth', _saved(_training())),
        'weights': checkpoint('weights.pth', _saved(weights)),
        'table': Subject(
            folder / 'table.pth',
            (folder / 'whole.pth').read_bytes(),
            _read_identities,
        ),
        'table of a checkpoint': Subject(
            folder / 'oim.pth', _saved(of_identities), _read_identities
        ),
        'old weights, SHA-256 beside': checkpoint('old.pth', legacy, True),
        'safetensors, SHA-256 beside': checkpoint(
            'a.safetensors', released, True
        ),
        'safetensors, SHA-256 in the name': checkpoint(
            f'b-{_sha256(released)[:8]}.safetensors', released, True
        ),
    }
    for kind, subject in found.items():
        if 'beside' in kind:
            name = subject.path.name
            line = f'{_sha256(subject.content)}  {name}\n'
            (folder / f'{name}.sha256').write_text(line)
    return found


def _read_checkpoint(path: Path) -> object:
    return plain(load_checkpoint_file(path))


def _read_identities(path: Path) -> object:
    return plain(read_table(path))


def _weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return OrderedDict(
        weight=torch.randn(4, 9, generator=generator),
        half=torch.randn(5, generator=generator).half(),
        bias=torch.zeros(4),
        num_batches_tracked=torch.tensor(7),
    )


def _training() -> dict:
    """What stock mmengine writes while it trains."""
    buffer = HistoryBuffer()
    for value in (1.5, 1.25, 1.0):
        buffer.update(value)
    weights = _weights()
    return dict(
        meta=dict(epoch=3, iter=np.int64(12), seed=0, cfg='a = 1'),
        state_dict=weights,
        ema_state_dict={'module.weight': weights['weight'] / 2},
        optimizer=dict(
            state={0: dict(momentum_buffer=weights['weight'] / 3)},
            param_groups=[dict(lr=np.float32(0.1), params=[0])],
        ),
        message_hub=dict(
            log_scalars={'train/loss': buffer},
            runtime_info=dict(steps=np.arange(5), best_score=0.5),
            resumed_keys=dict(steps=True),
        ),
    )


def _saved(content: object, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def plain(value: object) -> object:
    """The same in types that ``==`` compares to the last bit, with types."""
    if isinstance(value, Tensor):
        value = value.contiguous()
        return (
            str(value.dtype),
            tuple(value.shape),
            bytes(value.view(-1).view(torch.uint8).tolist()),
        )
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, HistoryBuffer):
        return plain(vars(value))
    if is_dataclass(value):
        return [plain(getattr(value, each.name)) for each in fields(value)]
    if isinstance(value, dict):
        return [(key, plain(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return type(value).__name__, value
