"""Mixed precision, also where there is no GPU."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

AMP_DTYPES = ('auto', 'fp16', 'bf16')


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """``OptimWrapper`` whose forward pass runs in bfloat16 on the CPU.

    mmengine's ``AmpOptimWrapper`` refuses to run without a GPU. bfloat16 has
    the range of float32, so no loss is scaled. Weights stay float32.

    A processor without bfloat16 of its own is warned about: there the same
    steps take many times as long as in float32.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not has_bfloat16():
            print_log(
                'This processor has no bfloat16 of its own (AVX-512 or AMX): '
                'mixed precision is many times slower here than float32. '
                'Train without --amp',
                'current',
                logging.WARNING,
            )

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast for the forward pass."""
        with super().optim_context(model), autocast('cpu', torch.bfloat16):
            yield


def has_bfloat16() -> bool:
    """Whether oneDNN computes in bfloat16 on this processor."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def enable_amp(cfg, dtype: str = 'auto') -> None:
    """Switch a config's ``optim_wrapper`` to mixed precision, in place.

    Args:
        cfg: The config.
        dtype: 'fp16' with a dynamic loss scale, GPU only; 'bf16', whose
            range needs no scale; 'auto': fp16 on a GPU, bf16 on a CPU.

    Raises:
        ValueError: An unknown dtype, float16 without a GPU, or another kind
            of ``optim_wrapper``.
    """
    if dtype not in AMP_DTYPES:
        raise ValueError(f'--amp is one of {AMP_DTYPES}, got {dtype!r}')
    gpu = torch.cuda.is_available()
    if dtype == 'fp16' and not gpu:
        raise ValueError('--amp fp16 needs a GPU; on a CPU, use --amp bf16')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind in ('AmpOptimWrapper', 'CPUAmpOptimWrapper'):
        return
    if kind != 'OptimWrapper':
        raise ValueError(
            f'optim_wrapper.type is {kind!r}: only OptimWrapper can be '
            'switched to mixed precision'
        )
    if not gpu:
        cfg.optim_wrapper.type = 'CPUAmpOptimWrapper'
        return
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    if dtype == 'bf16':
        cfg.optim_wrapper.dtype = 'bfloat16'
        cfg.optim_wrapper.loss_scale = 1.0
    else:
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
