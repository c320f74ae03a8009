"""A training loop that signals stop, and that resumes within an epoch."""

from pathlib import Path
from typing import NoReturn

import torch
from mmdet.registry import LOOPS
from mmengine.dist import (
    all_reduce,
    barrier,
    get_world_size,
    is_main_process,
)
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from .checkpoint_hook import SafeCheckpointHook
from .data_workers import protect_workers, rest_of_epoch
from .interruption import Interrupted, SignalWatch


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, but it stops and resumes anywhere.

    SIGTERM, SIGUSR1 and SIGINT (Ctrl-C), on any rank, let the running
    iteration end on all of them, and the epoch if it was the last one. Then
    ``SafeCheckpointHook`` writes ``interrupted.pth`` and the loop raises
    ``Interrupted``. Gradients that are accumulated over several iterations
    are completed first. A run that has nothing left to do ends as always.

    A checkpoint from within an epoch resumes behind its last batch; what
    comes before is not loaded. With ``StatelessSeedHook`` the resumed run
    equals the unbroken one bit for bit, as long as an epoch has as many
    batches as it had; the sampler must draw from the seed and the epoch
    alone, as mmengine's ``DefaultSampler`` does.

    As mmengine's, it validates every ``val_interval`` epochs and after the
    last one, however large the interval is. ``val_begin`` beyond
    ``max_epochs`` trains without any validation.

    ``interrupted.pth`` is written before each validation, too, and deleted
    after it: a validation that was stopped or killed is run again.

    Args: as mmengine's ``EpochBasedTrainLoop``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        protect_workers(self.dataloader)
        self._signals = SignalWatch()
        self.runner.register_hook(_LoopHook(self, self._signals))
        # what a checkpoint tells of where to go on
        self._batches_done = 0
        self._validation_due = False
        # iteration in which the running epoch began
        self._epoch_begin = 0

    def position(self, epoch: int, iteration: int) -> dict[str, int]:
        """What the meta of a checkpoint says for ``resume_at``.

        Args:
            epoch: Whole epochs that the checkpoint has seen.
            iteration: Iterations that it has seen.
        """
        within = epoch == self._epoch
        return dict(
            batches_done=iteration - self._epoch_begin if within else 0,
            epoch_length=len(self.dataloader),
        )

    def resume_at(self, meta: dict) -> None:
        """Note where a checkpoint goes on, before ``run``.

        Args:
            meta: Of the checkpoint. Without what ``position`` says, it goes
                on with a whole epoch.

        Raises:
            ValueError: It is from within an epoch of another length.
        """
        done = meta.get('batches_done', 0)
        length = len(self.dataloader)
        if done and meta['epoch_length'] != length:
            raise ValueError(
                f'the checkpoint was saved after {done} of '
                f'{meta["epoch_length"]} batches of epoch '
                f'{meta["epoch"] + 1}, which has {length} batches now: resume '
                'with the batch size, number of processes and data of that '
                'run, or from the checkpoint of a whole epoch'
            )
        self._batches_done = done
        self._validation_due = meta.get('validation_due', False)

    def run(self) -> torch.nn.Module:
        """Train.

        Raises:
            Interrupted: A signal stopped the run.
        """
        self._epoch_begin = self._iter - self._batches_done
        if self.runner.val_loop is not None:
            protect_workers(self.runner.val_loop.dataloader)
        with self._signals.watching():
            self.runner.call_hook('before_train')
            if self._validation_due:
                # as the end of the epoch had left them
                hub = self.runner.message_hub
                hub.update_info('epoch', self._epoch - 1)
                hub.update_info('iter', self._iter - 1)
                self._validate()
            while self._epoch < self._max_epochs and not self.stop_training:
                self._stop_if_asked()
                self.run_epoch()
                self._decide_current_val_interval()
                if self._validates():
                    self._validate()
            self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train one epoch, or what is left of it."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done, self._batches_done = self._batches_done, 0
        loader = self.dataloader
        if done:
            loader = rest_of_epoch(loader, done)
        for index, batch in enumerate(loader, start=done):
            self.run_iter(index, batch)
            if index + 1 < len(self.dataloader):  # else end the epoch first
                self._stop_if_asked()
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self._epoch_begin = self._iter

    def _stop_if_asked(self) -> None:
        if not self.runner.optim_wrapper.should_update():
            return  # gradients of several iterations are being summed up
        if signum := self._signals.agreed():
            done = self._iter - self._epoch_begin
            epoch = f'epoch {self._epoch + 1}'
            where = f'before {epoch}'
            if done:
                length = len(self.dataloader)
                where = f'in {epoch}, iteration {done} of {length}'
            self._leave(Interrupted(signum), where, self._save())

    def _validates(self) -> bool:
        """Whether the epoch that has ended is one to validate after."""
        last = self._epoch == self._max_epochs
        return (
            self.runner.val_loop is not None
            and self._epoch >= self.val_begin
            and (last or self._epoch % self.val_interval == 0)
        )

    def _validate(self) -> None:
        saved = self._save(validation_due=True)
        try:
            if signum := self._signals.agreed():
                raise Interrupted(signum)
            self.runner.val_loop.run()
        except Interrupted as stop:
            where = f'in the validation after epoch {self._epoch}'
            self._leave(stop, where, saved)
        finally:
            self._signals.at_once = False
        if saved is not None and is_main_process():
            saved.unlink(missing_ok=True)

    def _save(self, **notes) -> Path | None:
        """Write interrupted.pth; None without a SafeCheckpointHook."""
        for hook in self.runner.hooks:
            if isinstance(hook, SafeCheckpointHook):
                return hook.save_interrupted(self.runner, **notes)
        return None

    def _leave(
        self, stop: Interrupted, where: str, saved: Path | None
    ) -> NoReturn:
        """Say where the run is, close its logs and raise, on all ranks."""
        barrier()  # none leaves before the file is written
        self.runner.logger.warning(
            f'Stopped by {stop.name} {where}; '
            + (
                f'saved {saved}: continue with --resume'
                if saved is not None
                else 'nothing was saved, without a SafeCheckpointHook'
            )
        )
        self.runner.call_hook('after_run')
        raise stop


class _LoopHook(Hook):
    """Where the loop is told of checkpoints and of a validation's progress.

    A validation is stopped between two batches and while scores are computed,
    by several processes when they are there. Then its result is stored
    without being interrupted.
    """

    priority = 'HIGHEST'

    def __init__(self, loop: ResumableTrainLoop, signals: SignalWatch) -> None:
        self._loop = loop
        self._signals = signals
        self._common = 0

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add where in its epoch the run is."""
        meta = checkpoint['meta']
        meta.update(self._loop.position(meta['epoch'], meta['iter']))

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Go on there."""
        if runner._resume:  # StrictLoadHook refuses one without meta
            self._loop.resume_at(checkpoint.get('meta', {}))

    def before_val(self, runner) -> None:
        """Find out how many batches every rank has."""
        common = torch.tensor(len(runner.val_dataloader))
        all_reduce(common, 'min')
        self._common = int(common)

    def after_val_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Stop if any rank was asked to."""
        if batch_idx + 1 == self._common:  # scores are next
            self._signals.at_once = get_world_size() == 1
        if batch_idx < self._common:
            self._stop_if_asked()

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Stop, before the result is stored; no more from here on."""
        self._signals.at_once = False
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if signum := self._signals.agreed():
            raise Interrupted(signum)
