"""Process groups: gloo where there is no GPU, and a clean end everywhere."""

import datetime
import gc
import logging
import os
import subprocess
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
import torch.distributed as dist
from mmengine.logging import MMLogger

from .interruption import Interrupted

P = ParamSpec('P')
T = TypeVar('T')


def launched(cfg, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Build and run a Runner, with any launcher.

    Args:
        cfg: The config, with ``launcher`` already set; see
            ``prepare_launcher`` for what is changed in it.
        run: Builds the Runner and runs it. The process group outlives it, so
            that nothing of the Runner is left when the group ends.
        args: Handed to ``run``.
        kwargs: Handed to ``run``.

    Returns:
        What ``run`` returns; nothing that holds the Runner.
    """
    prepare_launcher(cfg)
    try:
        result = run(*args, **kwargs)
    except Interrupted:
        raise  # all ranks go, and the process group with them
    except BaseException as error:
        if isinstance(error, Exception):
            _log_traceback()
        finish(failed=True)
        raise
    finish()
    return result


def _log_traceback() -> None:
    """Write the traceback to the log file; the terminal gets the message."""
    if not MMLogger._instance_dict:  # no run has begun, there is no file
        return
    logger = MMLogger.get_current_instance()
    text = traceback.format_exc()
    record = logger.makeRecord(
        logger.name, logging.ERROR, __file__, 0, text, (), None, 'launched'
    )
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def prepare_launcher(cfg) -> None:
    """Do what mmengine cannot: start gloo and set up DDP for the CPU.

    With a GPU, or without a launcher, mmengine does all by itself and
    nothing is changed. Without one, the process group exists before the
    Runner, which then starts none, and ``cfg.model_wrapper_cfg`` gets the
    values that DDP needs on a CPU.
    """
    _refuse_averaged_buffers(cfg)
    launcher = cfg.get('launcher') or 'none'
    if launcher == 'none' or torch.cuda.is_available():
        return
    if launcher == 'slurm':
        _slurm_environment()
    elif launcher != 'pytorch':
        raise ValueError(
            f"launcher must be 'none', 'pytorch' or 'slurm' without a GPU, "
            f'got {launcher!r}'
        )
    wrapper = cfg.get('model_wrapper_cfg') or {}
    defaults = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.model_wrapper_cfg = {**defaults, **wrapper, 'device_ids': None}
    if not dist.is_initialized():
        seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
        dist.init_process_group(
            'gloo',
            timeout=datetime.timedelta(seconds=seconds or 1800),
        )


def finish(failed: bool = False) -> None:
    """Leave the process group, together unless this rank failed.

    Gloo may abort the interpreter at its end if DDP still holds the group,
    so the garbage goes first. A failed rank does not wait for the others:
    its leaving ends their waiting.
    """
    if not dist.is_available() or not dist.is_initialized():
        return
    if not failed:
        dist.barrier()
    gc.collect()
    dist.destroy_process_group()


def _slurm_environment() -> None:
    """Translate what ``srun`` sets into what torch reads."""
    variables = {
        'RANK': 'SLURM_PROCID',
        'WORLD_SIZE': 'SLURM_NTASKS',
        'LOCAL_RANK': 'SLURM_LOCALID',
    }
    for name, source in variables.items():
        if source not in os.environ:
            raise RuntimeError(
                f"launcher='slurm' needs {source}: start with srun"
            )
        os.environ[name] = os.environ[source]
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        nodes = subprocess.run(
            ['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']],
            check=True,
            capture_output=True,
            text=True,
        )
        os.environ['MASTER_ADDR'] = nodes.stdout.split()[0]


def _refuse_averaged_buffers(cfg) -> None:
    for hook in cfg.get('custom_hooks') or ():
        if isinstance(hook, dict) and hook.get('type') == 'SyncBuffersHook':
            raise ValueError(
                'SyncBuffersHook averages every buffer over the ranks, '
                'including the lookup table and queue position of OIM: '
                'remove it from custom_hooks; AverageBatchNormHook averages '
                'the statistics of BatchNorm'
            )
