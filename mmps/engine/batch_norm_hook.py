"""The same running statistics of BatchNorm on every process."""

import torch
from mmdet.registry import HOOKS
from mmengine.dist import (
    all_gather,
    all_reduce_params,
    get_rank,
    get_world_size,
)
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mmps.checkpoints.errors import CheckpointError

from .unwrapped import unwrapped_model


@HOOKS.register_module()
class AverageBatchNormHook(Hook):
    """Averages ``running_mean`` and ``running_var`` over the processes.

    Each process normalises its own images, so their running statistics drift
    apart: they would score a validation differently, and the file would keep
    those of rank 0. They are averaged after each epoch, before a validation
    and before a checkpoint within an epoch. All processes go on from the
    average, which is what a resumed run reads.

    Where a signal stops a run there would have been no average, so a resumed
    one goes on with each process' own: ``interrupted.pth`` has them in the
    entry ``batch_norm_of_ranks`` (processes, numbers), beside the averages in
    its weights. With another number of processes it goes on with these.

    The variance is the mean of the variances, without the variance between
    the means: BatchNorm keeps an average of the variances *within* batches,
    and in training each process has divided by that of its own batch.

    Nothing else is averaged: the lookup table and the queue are the same on
    all processes by themselves, as are the statistics of ``RunningNorm`` and
    ``SyncBatchNorm``. Copies of an ``EMAHook`` are averaged too. Does nothing
    with one process, and leaves BatchNorm in eval mode alone.
    """

    priority = 'VERY_HIGH'  # before everything that saves or validates

    def __init__(self) -> None:
        self._trained = False
        # one row for each process: to be saved, and as they were resumed
        self._of_ranks: Tensor | None = None
        self._resumed: Tensor | None = None
        self._source = ''

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the rows of an interrupted run."""
        if runner._resume:
            self._resumed = checkpoint.get('batch_norm_of_ranks')
            self._source = runner._load_from or 'the checkpoint'

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Go on with this process' row; the model is in train mode by now."""
        rows, self._resumed = self._resumed, None
        if rows is None:
            return
        statistics = _statistics(runner)
        sizes = [statistic.numel() for statistic in statistics]
        self._check(rows, sum(sizes))
        if len(rows) != get_world_size():
            return
        own = rows[get_rank()].split(sizes)
        for statistic, values in zip(statistics, own, strict=True):
            statistic.copy_(values.view_as(statistic))

    def _check(self, rows: object, length: int) -> None:
        if not (
            isinstance(rows, Tensor)
            and rows.is_floating_point()
            and rows.ndim == 2
            and rows.shape[1] == length
            and rows.isfinite().all()
        ):
            raise CheckpointError(
                self._source,
                'cannot be resumed from: batch_norm_of_ranks should have '
                f'{length} finite numbers of each process',
                'Resume from another checkpoint of the run',
            )

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Note that there is something to average."""
        self._trained = True

    def after_train_epoch(self, runner: Runner) -> None:
        """Average."""
        self._average(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Average what was trained since; the model is still in train mode."""
        self._average(runner)

    def before_saving(self, runner: Runner) -> None:
        """Average what was trained since; see ``SafeCheckpointHook``."""
        self._average(runner)

    def before_interrupting(self, runner: Runner) -> None:
        """Remember the rows, then average; see ``SafeCheckpointHook``."""
        self._of_ranks = self._resumed  # stopped before it went on
        statistics = _statistics(runner) if self._trained else []
        if statistics and get_world_size() > 1:
            own = torch.cat([numbers.flatten() for numbers in statistics])
            self._of_ranks = torch.stack(all_gather(own)).cpu()
        self._average(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the rows."""
        rows, self._of_ranks = self._of_ranks, None
        if rows is not None:
            checkpoint['batch_norm_of_ranks'] = rows

    def _average(self, runner: Runner) -> None:
        # The average of equal numbers may differ from them in the last bit.
        if self._trained:
            all_reduce_params(_statistics(runner), op='mean')
        self._trained = False


def _statistics(runner: Runner) -> list[Tensor]:
    """Of every BatchNorm that trains, in the model and in its averages."""
    model = unwrapped_model(runner)
    averages = [
        hook.ema_model.module
        for hook in runner.hooks
        if isinstance(hook, EMAHook)
    ]
    trained = [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and module.training
        and module.track_running_stats
    ]
    return [
        statistic
        for owner in (model, *averages)
        for module in map(owner.get_submodule, trained)
        for statistic in (module.running_mean, module.running_var)
    ]
