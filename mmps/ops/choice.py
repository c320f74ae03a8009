"""Which operators NMS and RoIAlign run on: the one place that decides.

    on a GPU    torchvision; else compiled mmcv; else ours, with a warning
    elsewhere   ours

``MMPS_OPS=torchvision``, ``mmcv`` or ``torch`` (ours) takes that set in place
of this order, on GPU and CPU. A set counts as installed if it runs on one box
on the device: a torchvision for another torch, or one without CUDA beside a
torch with it, does not.
"""

import os
import re
import warnings

import torch

from . import mmcv_ext
from .kernels import Kernels, mmcv_kernels, torchvision_kernels

VARIABLE = 'MMPS_OPS'
OURS = 'torch'
_FINDERS = {'torchvision': torchvision_kernels, 'mmcv': mmcv_kernels}
#: What the variable may be.
SETS = (*_FINDERS, OURS)
_UNUSABLE = (ImportError, RuntimeError, OSError)
#: Device and forced set -> what was found, so that it is looked for, and
#: warned about, once. (torch.compile does not see through lru_cache.)
_found: dict[tuple[str, str | None], Kernels | None] = {}


def kernels_for(device: str) -> Kernels | None:
    """Return the kernels to use on a device, None for plain torch.

    Args:
        device: Its type: 'cpu', 'cuda', ...

    Raises:
        ValueError: ``MMPS_OPS`` is none of ``SETS``.
        ImportError: The set that it names cannot be used on this device.
    """
    key = device, forced_set()
    if key not in _found:
        _found[key] = _find(*key)
    return _found[key]


def forced_set() -> str | None:
    """Return the set that ``MMPS_OPS`` names, None if it is unset or empty."""
    name = os.environ.get(VARIABLE)
    if name and name not in SETS:
        raise ValueError(
            f'{VARIABLE} must be {", ".join(SETS[:-1])} or {SETS[-1]} (the '
            f'plain torch of mmps), got {name!r}; unset it to let mmps choose'
        )
    return name or None


def describe_operators(device: str | None = None) -> str:
    """Say in one line which operators are used, as a run reports it.

    Args:
        device: Type of the device; by default 'cuda' where there is one, as
            a run would take it.

    Raises:
        ValueError, ImportError: As ``kernels_for``.
    """
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    kernels, forced = kernels_for(device), forced_set()
    used = kernels.name if kernels else OURS
    text = f'{used} {kernels.version}' if kernels else 'plain torch of mmps'
    text = f'{text} on {device}'
    if forced:
        text += f', forced by {VARIABLE}'
    elif used != 'mmcv' and not mmcv_ext.is_supplied():
        text += ", and mmcv's NMS in the RPN of mmdet"
    if used == OURS and device == 'cuda' and not forced:
        text += f'; this is slow: {_install("torchvision")}'
    return text


def _find(device: str, forced: str | None) -> Kernels | None:
    """Go through the sets; arguments as of the keys of ``_found``."""
    if forced == OURS or device not in ('cpu', 'cuda'):
        return None
    if forced:
        try:
            return _tried(forced, device)
        except _UNUSABLE as error:
            raise ImportError(
                f'{VARIABLE}={forced}, but its operators do not run on '
                f'{device}: {_first_line(error)}. {_install(forced)}, or '
                f'unset {VARIABLE}'
            ) from error
    if device == 'cpu':
        return None
    reasons = []
    for name in _FINDERS:
        try:
            return _tried(name, device)
        except _UNUSABLE as error:
            reasons.append(f'{name}: {_first_line(error)}')
    warnings.warn(
        'RoIAlign and NMS run in plain torch on this GPU: thousands of small '
        f'operations in each step. {_install("torchvision")} (not usable '
        f'here: {"; ".join(reasons)}). {VARIABLE}={OURS} silences this',
        stacklevel=3,
    )
    return None


def _tried(name: str, device: str) -> Kernels:
    """Find a set and run it on one box."""
    kernels = _FINDERS[name]()
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]], device=device)
    kernels.nms(box, box[:, 2], 0.5, 0)
    roi = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0]], device=device)
    kernels.roi_align(box[None, None], roi, (1, 1), 1.0, 0, True)
    return kernels


def _install(name: str) -> str:
    """Say how to get a set that fits the installed torch."""
    if name == 'mmcv':
        return f'Install full mmcv: {mmcv_ext.INSTALL}'
    version, _, build = torch.__version__.partition('+')
    minor = int(version.split('.')[1])
    # torch 2.0 came with torchvision 0.15, 2.1 with 0.16, and so on
    command = f"pip install 'torchvision==0.{minor + 15}.*'"
    if re.fullmatch(r'cpu|cu\d+|rocm[\d.]+', build):
        command += f' --index-url https://download.pytorch.org/whl/{build}'
    return f'Install the torchvision that fits this torch: {command}'


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip('.')
