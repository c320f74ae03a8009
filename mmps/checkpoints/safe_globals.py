"""The few names that a checkpoint may ask for, beyond torch's own.

``torch.load(weights_only=True)`` builds tensors and plain containers. The
training checkpoints of stock mmengine also hold its ``HistoryBuffer`` and
NumPy numbers. Their names are listed here one by one; where the real function
could do more than such a file needs, a narrower one stands in for it.
Checkpoints that mmps writes need none of them.
"""

import pickle

import numpy as np
from mmengine.logging import HistoryBuffer

_STATISTICS = ('min', 'max', 'mean', 'current')


def _refuse(what: str):
    raise pickle.UnpicklingError(f'refused: {what}')


def _statistic(owner, name: str):
    """Stand-in for ``getattr``: the four methods of a HistoryBuffer."""
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(owner, name)
    _refuse(f'getattr({owner!r}, {name!r})')


def _empty_array(kind, shape, code):
    """Stand-in for ``_reconstruct``: what ``ndarray.__reduce__`` asks for."""
    if kind is np.ndarray and shape == (0,):
        return np.ndarray(0, np.int8)
    _refuse(f'an array of {kind!r} and shape {shape!r}')


def _numeric_dtype(code, *flags):
    """Stand-in for ``numpy.dtype``: plain numbers, no objects or records."""
    if isinstance(code, str) and np.dtype(code).kind in 'biufc':
        return np.dtype(code, *flags)
    _refuse(f'numpy.dtype({code!r})')


_SCALAR = np.float64(0).__reduce__()[0]
_DTYPES = (
    'Bool',
    *(f'{sign}Int{bits}' for sign in ('', 'U') for bits in (8, 16, 32, 64)),
    *(f'Float{bits}' for bits in (16, 32, 64)),
)

#: For ``torch.serialization.safe_globals``. NumPy 2 renamed a module.
SAFE_GLOBALS = [
    HistoryBuffer,
    np.ndarray,
    (_statistic, 'builtins.getattr'),
    (_numeric_dtype, 'numpy.dtype'),
    *(
        (function, f'numpy.{core}.multiarray.{name}')
        for core in ('core', '_core')
        for function, name in (
            (_empty_array, '_reconstruct'),
            (_SCALAR, 'scalar'),
        )
    ),
    *(getattr(np.dtypes, f'{kind}DType') for kind in _DTYPES),
]
