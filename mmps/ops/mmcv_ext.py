"""Supplies ``mmcv._ext`` where mmcv was installed without compiled ops."""

import importlib.machinery
import importlib.util
import sys
import types


class _Ext(types.ModuleType):
    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise RuntimeError(f'mmcv op {name} is not available')

        return missing


def supply() -> None:
    """Put a stand-in for ``mmcv._ext`` into ``sys.modules`` if it lacks."""
    if importlib.util.find_spec('mmcv._ext') is not None:
        return
    ext = _Ext('mmcv._ext')
    ext.__spec__ = importlib.machinery.ModuleSpec('mmcv._ext', None)
    sys.modules['mmcv._ext'] = ext
