"""Checkpoints of tensors, numbers, strings and containers, nothing else."""

import logging
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from mmps.checkpoints.errors import CheckpointError
from mmps.checkpoints.tensors import check_finite, is_backed

from .resume_check import check_optimizer

_ATOMS = (str, int, float, bool, type(None))
_DROPPED = object()


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Writes checkpoints that load without any allow-list, and reads them.

    Before saving, mmengine's message hub becomes tensors and numbers, and the
    data set's metainfo is reduced to its plain parts (a training set keeps
    ``classes`` and ``identity_names``). After loading, the message hub is put
    together again, so that a resumed run keeps its whole history.

    A checkpoint whose weights are not finite is not written.
    """

    priority = 'LOWEST'  # after every hook that adds something

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Replace, in place, what is not plain."""
        meta, hub = checkpoint['meta'], checkpoint['message_hub']
        check_finite(
            checkpoint,
            f'checkpoint of epoch {meta["epoch"]}, iteration {meta["iter"]}',
        )
        if 'dataset_meta' in meta:
            meta['dataset_meta'] = plain_parts(meta['dataset_meta'])
        hub['log_scalars'] = {
            key: _pack(buffer) for key, buffer in hub['log_scalars'].items()
        }
        # set again by RuntimeInfoHook whenever training starts
        hub['runtime_info'].pop('dataset_meta', None)
        for key, value in list(hub['runtime_info'].items()):
            tensor = isinstance(value, torch.Tensor)
            kept = value if tensor else plain_parts(value)
            if kept is _DROPPED:
                self._warn(runner, key, value)
                hub['runtime_info'].pop(key)
            else:
                hub['runtime_info'][key] = kept
        known = {*hub['log_scalars'], *hub['runtime_info']}
        hub['resumed_keys'] = {
            k: v for k, v in hub['resumed_keys'].items() if k in known
        }
        for key, value in checkpoint.items():
            if key in ('state_dict', 'ema_state_dict'):
                value.update({k: _backed(v) for k, v in value.items()})
            else:
                checkpoint[key] = _plain(value, key)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Turn packed histories back into HistoryBuffers.

        Raises:
            CheckpointError: What is left to resume, optimizer and schedules,
                are not those of this run.
        """
        if not runner._resume:
            return
        source = runner._load_from or 'the checkpoint'
        check_optimizer(runner, checkpoint, source)
        scalars = checkpoint['message_hub']['log_scalars']
        for key, value in scalars.items():  # StrictLoadHook has checked them
            scalars[key] = _unpack(value)
        self._recognise_dataset(runner, checkpoint['meta'])

    def _recognise_dataset(self, runner, meta: dict) -> None:
        """Spare mmengine's warning if the plain parts are the same."""
        dataset = runner.train_dataloader.dataset
        ours = getattr(dataset, 'metainfo', None)
        theirs = plain_parts(meta.get('dataset_meta'))
        if ours is not None and theirs == plain_parts(ours):
            meta['dataset_meta'] = ours

    def _warn(self, runner, key: str, value) -> None:
        runner.logger.log(
            logging.WARNING,
            f'message hub: {key} is a {type(value).__name__} and is not '
            'saved; a resumed run will not have it',
        )


def plain_parts(value):
    """Keep what is made of strings, numbers and containers of them.

    Entries of a dict or list that hold anything else are left out, whole;
    NumPy numbers become Python's. Arrays and tensors are not plain.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _ATOMS):
        return value
    if isinstance(value, Mapping):
        kept = {k: plain_parts(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v is not _DROPPED}
    if isinstance(value, list | tuple):
        kept = [plain_parts(v) for v in value]
        if any(v is _DROPPED for v in kept):
            return _DROPPED
        return type(value)(kept) if type(value) in (list, tuple) else kept
    return _DROPPED


def _plain(value, place: str):
    """Copy containers, turn NumPy numbers into Python's, refuse the rest."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (*_ATOMS, torch.Tensor)):
        return _backed(value)
    if isinstance(value, Mapping):
        kind = OrderedDict if isinstance(value, OrderedDict) else dict
        return kind((k, _plain(v, f'{place}.{k}')) for k, v in value.items())
    if isinstance(value, list | tuple):
        kept = [_plain(v, f'{place}.{i}') for i, v in enumerate(value)]
        return tuple(kept) if isinstance(value, tuple) else kept
    raise CheckpointError(
        place,
        f'is a {type(value).__name__} and cannot be saved in a checkpoint',
        'Store tensors, numbers, strings and containers of them',
    )


def _backed(value):
    """Write out a tensor that repeats its numbers: such are not read."""
    if isinstance(value, torch.Tensor) and not is_backed(value):
        return value.clone(memory_format=torch.contiguous_format)
    return value


def _pack(buffer: HistoryBuffer) -> dict:
    history, counts = buffer.data
    return dict(
        history=torch.from_numpy(np.array(history, dtype=np.float64)),
        counts=torch.from_numpy(np.array(counts, dtype=np.float64)),
        max_length=buffer.max_length,
    )


def _unpack(value: dict | HistoryBuffer) -> HistoryBuffer:
    """A history as mmengine makes it, whatever else came with one."""
    if isinstance(value, HistoryBuffer):
        return HistoryBuffer(*value.data, value.max_length)
    return HistoryBuffer(
        value['history'].cpu().numpy(),
        value['counts'].cpu().numpy(),
        value['max_length'],
    )
