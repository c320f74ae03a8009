"""Whether what a resumed run reads of a checkpoint is of the right kind.

mmengine takes the state of a run as it comes: what is of another type or
range ends later, in an error that says nothing of the file, or in a training
that is not the one that was saved.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from mmps.checkpoints.errors import CheckpointError

_HINT = (
    'Resume with the config and the versions of the run, from another '
    'checkpoint of it, or start a new run from these weights with load_from'
)
_MAX_DEPTH = 32
_MAX_PARTS = 10**6
#: Epochs, iterations and steps; data sets get them as 32 bit integers.
_MAX_COUNT = 2**31 - 1
_MAX_SEED = 2**32 - 1


def check_resumable(checkpoint: dict, source: object) -> None:
    """Refuse a checkpoint that no run can go on from.

    Args:
        checkpoint: What the file holds; the weights are not looked at.
        source: Named in the error.

    Raises:
        CheckpointError: A part is missing, or of another type or range.
    """
    _check_parts(checkpoint, source)
    with _errors_name(source):
        _check_nesting(checkpoint)
        _check_meta(checkpoint['meta'])
        _check_hub(checkpoint['message_hub'])
        _check_averages(checkpoint)


def check_optimizer(runner: Runner, checkpoint: dict, source: object) -> None:
    """Refuse the state of another optimizer or other schedules.

    Args:
        runner: With optimizer and schedules built.
        checkpoint: What the file holds, with ``optimizer``.
        source: Named in the error.

    Raises:
        CheckpointError: A part is of another type, shape or range.
    """
    with _errors_name(source):
        _check_optimizer(runner.optim_wrapper, checkpoint['optimizer'])
        schedules = checkpoint.get('param_schedulers')
        if schedules is not None and runner.param_schedulers is not None:
            _check_schedules(runner.param_schedulers, schedules)


@contextmanager
def _errors_name(source: object) -> Iterator[None]:
    try:
        yield
    except _Wrong as wrong:
        raise CheckpointError(
            source, f'cannot be resumed from: {wrong}', _HINT
        ) from wrong


class _Wrong(Exception):
    """A part is not what it should be; names it."""


def _need(fine: bool, place: str, expected: str, found: object) -> None:
    if not fine:
        shown = repr(found)
        if len(shown) > 60:
            shown = f'a {type(found).__name__}'
        raise _Wrong(f'{place} should be {expected}, got {shown}')


def _check_parts(checkpoint: dict, source: object) -> None:
    meta = checkpoint.get('meta')
    lacking = [
        name
        for name, there in (
            ('meta.epoch', isinstance(meta, dict) and 'epoch' in meta),
            ('meta.iter', isinstance(meta, dict) and 'iter' in meta),
            ('message_hub', 'message_hub' in checkpoint),
            ('state_dict', 'state_dict' in checkpoint),
            ('optimizer', 'optimizer' in checkpoint),
        )
        if not there
    ]
    if lacking:
        raise CheckpointError(
            source,
            f'cannot be resumed from, it has no {", ".join(lacking)}',
            'It has only weights; start a new run with load_from instead',
        )


def _check_nesting(content: object) -> None:
    """Refuse what a walk through all parts would not come back from."""
    parts, waiting = 0, [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        parts += 1
        if depth > _MAX_DEPTH or parts > _MAX_PARTS:
            raise _Wrong(
                f'it is nested more than {_MAX_DEPTH} deep, or has more than '
                f'{_MAX_PARTS:,} parts'
            )
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += [(item, depth + 1) for item in value]


def _check_meta(meta: dict) -> None:
    for name in ('epoch', 'iter'):
        _need_count(meta[name], f'meta.{name}')
    for name in ('batches_done', 'epoch_length'):
        if name in meta:
            _need_count(meta[name], f'meta.{name}')
    done, length = meta.get('batches_done', 0), meta.get('epoch_length', 0)
    _need(
        done == 0 or ('epoch_length' in meta and done <= length),
        'meta.batches_done',
        f'at most meta.epoch_length ({length})',
        done,
    )
    _need(
        done <= meta['iter'],
        'meta.batches_done',
        f'at most meta.iter ({meta["iter"]})',
        done,
    )
    due = meta.get('validation_due', False)
    _need(isinstance(due, bool), 'meta.validation_due', 'True or False', due)
    if meta.get('seed') is not None:
        _need_count(meta['seed'], 'meta.seed', _MAX_SEED)


def _check_hub(hub: object) -> None:
    _need(isinstance(hub, dict), 'message_hub', 'a dict', hub)
    for name in ('log_scalars', 'runtime_info', 'resumed_keys'):
        place = f'message_hub.{name}'
        _need(isinstance(hub.get(name), dict), place, 'a dict', hub.get(name))
        _need_names(hub[name], place)
    for key, value in hub['log_scalars'].items():
        _check_history(value, f'message_hub.log_scalars.{key}')
    for key, value in hub['runtime_info'].items():
        place = f'message_hub.runtime_info.{key}'
        if key == 'keep_ckpt_ids':
            _need(isinstance(value, list), place, 'a list', value)
            for step in value:
                _need_count(step, place)
        elif key.startswith('best_score'):
            _need(_is_number(value), place, 'a number', value)
        elif key.startswith('best_ckpt') or key == 'last_ckpt':
            fine = value is None or isinstance(value, str)
            _need(fine, place, 'a path', value)


def _check_history(value: object, place: str) -> None:
    """Of mmengine, or as ``PlainCheckpointHook`` packs it."""
    if isinstance(value, HistoryBuffer):
        inside = vars(value)
        parts = [inside.get(f'_{n}_history') for n in ('log', 'count')]
        arrays = all(isinstance(part, np.ndarray) for part in parts)
        length = inside.get('max_length')
    else:
        _need(isinstance(value, dict), place, 'a history', value)
        parts = [value.get(name) for name in ('history', 'counts')]
        arrays = all(isinstance(part, Tensor) for part in parts)
        length = value.get('max_length')
    _need(
        arrays and all(part.ndim == 1 for part in parts),
        place,
        'a history: two rows of numbers',
        value,
    )
    _need(
        len(parts[0]) == len(parts[1]), place, 'two rows of one length', value
    )
    _need_count(length, f'{place}.max_length')
    _need(length > 0, f'{place}.max_length', 'above 0', length)


def _check_averages(checkpoint: dict) -> None:
    """What ``EMAHook`` has averaged, which it swaps with the weights."""
    averages = checkpoint.get('ema_state_dict')
    if averages is None:
        return
    weights = checkpoint['state_dict']
    _need(isinstance(averages, dict), 'ema_state_dict', 'a dict', averages)
    for key, value in averages.items():
        place = f'ema_state_dict.{key}'
        _need(isinstance(value, Tensor), place, 'a tensor', value)
        if not (isinstance(key, str) and key.startswith('module.')):
            _need(key == 'steps', place, 'steps or a weight', value)
            _need(value.ndim == 0, place, 'a number', value)
            continue
        weight = weights.get(key.removeprefix('module.'))
        _need(
            isinstance(weight, Tensor)
            and weight.shape == value.shape
            and weight.is_floating_point() == value.is_floating_point(),
            place,
            'like the weight of that name in state_dict',
            list(value.shape),
        )


def _check_optimizer(wrapper: OptimWrapper, saved: object) -> None:
    _need(isinstance(saved, dict), 'optimizer', 'a dict', saved)
    if not isinstance(wrapper, OptimWrapper):
        return  # several optimizers: not of a config of mmps
    groups = wrapper.optimizer.param_groups
    theirs = saved.get('param_groups')
    place = 'optimizer.param_groups'
    _need(isinstance(theirs, list), place, 'a list', theirs)
    _need(len(theirs) == len(groups), place, f'{len(groups)}', len(theirs))
    parameters = {}
    for index, (ours, group) in enumerate(zip(groups, theirs, strict=True)):
        place = f'optimizer.param_groups.{index}'
        _check_group(ours, group, place)
        numbers = group.get('params')
        fine = isinstance(numbers, list) and all(map(_is_integer, numbers))
        _need(fine, f'{place}.params', 'a list of integers', numbers)
        _need(
            len(numbers) == len(ours['params']),
            f'{place}.params',
            f'of {len(ours["params"])} parameters',
            len(numbers),
        )
        parameters.update(zip(numbers, ours['params'], strict=True))
    state = saved.get('state')
    _need(isinstance(state, dict), 'optimizer.state', 'a dict', state)
    for number, values in state.items():
        place = f'optimizer.state.{number}'
        _need(number in parameters, place, 'of a parameter', number)
        _need(isinstance(values, dict), place, 'a dict', values)
        _need_names(values, place)
        for name, value in values.items():
            _check_state(value, parameters[number], f'{place}.{name}')
    first = saved.get('base_param_settings')
    if first is not None:
        _check_group(groups[-1], first, 'optimizer.base_param_settings')
    scale = saved.get('loss_scaler')
    if scale is not None:
        place = 'optimizer.loss_scaler'
        _need(isinstance(scale, dict), place, 'a dict', scale)
        fine = all(map(_is_number, scale.values()))
        _need(fine, place, 'made of numbers', scale)


def _check_group(ours: dict, theirs: object, place: str) -> None:
    """Compare options of an optimizer, such as ``lr``, with those here."""
    _need(isinstance(theirs, dict), place, 'a dict', theirs)
    _need_names(theirs, place)
    for name, value in ours.items():
        if name == 'params':
            continue
        if name not in theirs:
            # versions of torch add flags, and schedules `initial_...`
            flag = value is None or isinstance(value, bool)
            fine = flag or name.startswith('initial_')
            _need(fine, f'{place}.{name}', 'there', 'nothing')
            continue
        found = theirs[name]
        _need(
            _alike(value, found) and _is_finite(found),
            f'{place}.{name}',
            f'of the kind of {value!r}',
            found,
        )


def _check_state(value: object, parameter: Tensor, place: str) -> None:
    if value is None or _is_number(value):
        return
    _need(isinstance(value, Tensor), place, 'a tensor', value)
    _need(
        value.ndim == 0 or value.shape == parameter.shape,
        place,
        f'of shape {list(parameter.shape)}',
        list(value.shape),
    )
    _need(
        value.is_floating_point() or value.ndim == 0,
        place,
        'of floating point',
        value.dtype,
    )
    _need(bool(torch.isfinite(value).all()), place, 'finite', 'NaN or inf')


def _check_schedules(ours: object, theirs: object) -> None:
    place = 'param_schedulers'
    if isinstance(ours, Mapping):
        _need(isinstance(theirs, dict), place, 'a dict', theirs)
        _need(theirs.keys() == ours.keys(), place, f'of {list(ours)}', theirs)
        for name in ours:
            _check_schedules(ours[name], theirs[name])
        return
    _need(isinstance(theirs, list), place, 'a list', theirs)
    _need(len(theirs) == len(ours), place, f'{len(ours)}', len(theirs))
    for index, (schedule, saved) in enumerate(zip(ours, theirs, strict=True)):
        place = f'param_schedulers.{index}'
        _need(isinstance(saved, dict), place, 'a dict', saved)
        for name, value in schedule.state_dict().items():
            _need(name in saved, f'{place}.{name}', 'there', 'nothing')
            found = saved[name]
            exact = _is_integer(found) or not _is_integer(value)
            _need(
                _alike(value, found) and exact,
                f'{place}.{name}',
                f'of the kind of {value!r}',
                found,
            )
        others = sorted(map(str, saved.keys() - schedule.state_dict().keys()))
        _need(not others, place, f'a {type(schedule).__name__}', others)


def _alike(ours: object, theirs: object) -> bool:
    """Whether a value can take the place of another."""
    if ours is None:
        return theirs is None or isinstance(theirs, str | Real)
    if isinstance(ours, bool | np.bool_):
        return isinstance(theirs, bool | np.bool_)
    if isinstance(ours, Real):
        return _is_number(theirs)
    if isinstance(ours, str):
        return isinstance(theirs, str)
    if isinstance(ours, Mapping):  # a Counter is saved as a dict
        numbers = (*theirs, *theirs.values()) if _is_map(theirs) else (None,)
        return all(map(_is_number, numbers))
    if isinstance(ours, Tensor):
        return isinstance(theirs, Tensor) and theirs.shape == ours.shape
    if isinstance(ours, list | tuple):
        return (
            isinstance(theirs, list | tuple)
            and len(theirs) == len(ours)
            and all(map(_alike, ours, theirs))
        )
    return False


def _need_names(content: Iterable, place: str) -> None:
    for key in content:
        _need(isinstance(key, str), f'a key of {place}', 'text', key)


def _need_count(value: object, place: str, largest: int = _MAX_COUNT) -> None:
    fine = _is_integer(value) and 0 <= value <= largest
    _need(fine, place, f'an integer in [0, {largest}]', value)


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _is_finite(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
