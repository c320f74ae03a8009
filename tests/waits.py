"""Count what makes a program wait for its GPU, without a GPU.

A value that leaves the GPU (``int(t)``, ``if t:``, ``t.tolist()``) waits until
all work before it is done, and so does what has a shape that depends on values
(``x[mask]``, ``nonzero``). On a CPU the same calls can be counted.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
#: Operators that read a value, or whose result has a shape made of values.
WAITING = {
    aten._local_scalar_dense,
    aten.equal,
    aten.masked_select,
    aten.nonzero,
    aten._unique2,
    aten.unique_dim,
    aten.repeat_interleave,
}
#: Methods that hand values to the host; on a CPU no operator is called.
READING = {Tensor.tolist, Tensor.numpy, Tensor.cpu}


@contextmanager
def counted_waits() -> Iterator[Counter]:
    """Yield a Counter, by operator, of the waits within the block."""
    waits = Counter()
    with _Methods(waits), _Operators(waits):
        yield waits


class _Operators(TorchDispatchMode):
    def __init__(self, waits: Counter) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        masks = func.overloadpacket in (aten.index, aten.index_put_) and any(
            index is not None and index.dtype == torch.bool
            for index in args[1]
        )
        if masks or func.overloadpacket in WAITING:
            self.waits[str(func)] += 1
        return func(*args, **kwargs or {})


class _Methods(TorchFunctionMode):
    def __init__(self, waits: Counter) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in READING:
            self.waits[func.__name__] += 1
        return func(*args, **kwargs or {})
