"""Stand-in for ``mmcv._ext``, the compiled part of mmcv.

mmdet imports all of mmcv's ops when it is imported, and mmcv's ops import
``mmcv._ext``. The package mmcv-lite, which needs no compiler and no CUDA, has
no such module; ``supply()`` puts one in its place. Its ``nms`` is ours, every
other op explains itself when it is called. Where mmcv has its own, nothing
is supplied; only if ``MMPS_OPS`` asks for other operators (``choice.py``) is
its ``nms`` ours as well, since mmdet's RPN calls no other.
"""

import importlib
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

NAME = 'mmcv._ext'
INSTALL = (
    'pip uninstall mmcv-lite && pip install "mmcv>=2.1,<2.2" -f the index '
    'that fits your torch and CUDA, see '
    'https://mmcv.readthedocs.io/en/latest/get_started/installation.html '
    '("Install with pip"; do not use `mim install`, which fails with '
    'setuptools 82 and later)'
)


def supply(nms: Callable) -> None:
    """Make ``mmcv.ops`` importable; does nothing where it already is.

    Args:
        nms: ``nms`` of this package.
    """
    if find_spec('mmcv') is None:
        raise ImportError(
            'mmps needs mmcv 2.1 and found none; run '
            '`pip install mmcv-lite==2.1.0`',
            name='mmcv',
        )
    if find_spec(NAME) is None:
        sys.modules[NAME] = _Ext(NAME, nms)
    elif os.environ.get('MMPS_OPS') in ('torchvision', 'torch'):
        importlib.import_module(NAME).nms = nms


def is_supplied() -> bool:
    """Tell whether mmcv's ops are the stand-in."""
    return isinstance(sys.modules.get(NAME), _Ext)


class _Ext(ModuleType):
    """A module in which every name is an op."""

    def __init__(self, name: str, nms: Callable) -> None:
        super().__init__(name, __doc__)
        # mmengine looks the module up with pkgutil, which refuses a module
        # without a spec. No loader: mmcv's own `check_ops_exist` says False.
        self.__spec__ = ModuleSpec(name, None, origin=__file__)
        self.nms = nms
        # Asked for by mmcv's and mmdet's environment reports.
        self.get_compiler_version = lambda: 'n/a'
        self.get_compiling_cuda_version = lambda: 'n/a'

    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(f'module {NAME!r} has no attribute {name!r}')

        def missing(*args, **kwargs):
            raise RuntimeError(
                f'the op {name!r} of mmcv is compiled code, which mmcv-lite '
                f'does not have. Install full mmcv to use it: {INSTALL}'
            )

        return missing
