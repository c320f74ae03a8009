"""Mixed precision, also where there is no GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """``OptimWrapper`` whose forward pass runs in bfloat16 on the CPU.

    mmengine's ``AmpOptimWrapper`` refuses to run without a GPU. bfloat16 has
    the range of float32, so no loss is scaled. Weights stay float32.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast for the forward pass."""
        with super().optim_context(model), autocast('cpu', torch.bfloat16):
            yield


def enable_amp(cfg) -> None:
    """Switch a config's ``optim_wrapper`` to mixed precision, in place.

    float16 with a dynamic loss scale on a GPU, bfloat16 on a CPU.
    """
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind in ('AmpOptimWrapper', 'CPUAmpOptimWrapper'):
        return
    if kind != 'OptimWrapper':
        raise ValueError(
            f'optim_wrapper.type is {kind!r}: only OptimWrapper can be '
            'switched to mixed precision'
        )
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    else:
        cfg.optim_wrapper.type = 'CPUAmpOptimWrapper'
