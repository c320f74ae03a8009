"""Save so that a run killed at any moment can go on; resume what is intact."""

import re
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook

from mmps.checkpoints.errors import CheckpointError
from mmps.checkpoints.newest import INTERRUPTED, newest_valid_checkpoint
from mmps.checkpoints.writing import write_atomically

#: File with the path of the last checkpoint, as mmengine names it.
NOTE = 'last_checkpoint'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook in another order: write first, then delete.

    Files, ``best_*`` and ``last_checkpoint`` included, are written atomically
    and only then are outdated ones deleted. ``resume=True`` without
    ``load_from`` takes the newest intact file of the work_dir; if there is
    none, the run starts from the config's ``start_from``, or anew. Hooks with
    a ``before_saving(runner)`` are called on all processes before a file is
    written, those with ``before_interrupting(runner)`` before
    ``interrupted.pth``.

    With ``ResumableTrainLoop`` and ``StatelessSeedHook`` all of them resume
    bit for bit: those of whole epochs, those from within one
    (``by_epoch=False``, with an interval that is a multiple of the optimiser's
    ``accumulative_counts``), and ``interrupted.pth``, where a signal stopped
    the run; the next checkpoint takes its place. mmengine's own loop starts
    the epoch of a checkpoint again.

    Args:
        max_keep_ckpts: Checkpoints to keep, at least 2; -1 keeps all. With 1
            a kill at the wrong moment leaves nothing to resume from.
        kwargs: Of mmengine's ``CheckpointHook``, but ``published_keys``,
            ``file_client_args`` and ``backend_args``.
    """

    def __init__(self, *, max_keep_ckpts: int = 2, **kwargs) -> None:
        if max_keep_ckpts != -1 and max_keep_ckpts < 2:
            raise ValueError(
                f'max_keep_ckpts must be >= 2, or -1 to keep all, got '
                f'{max_keep_ckpts}'
            )
        fixed = {'published_keys', 'file_client_args', 'backend_args'}
        if fixed & set(kwargs):
            raise ValueError(
                f'{sorted(fixed & set(kwargs))} cannot be set: checkpoints '
                'are written to local disk; `mmps publish` publishes them'
            )
        super().__init__(
            max_keep_ckpts=max_keep_ckpts,
            backend_args=dict(backend='mmps.atomic'),
            **kwargs,
        )

    def before_run(self, runner) -> None:
        """Choose the checkpoint of an automatic resume, for all ranks."""
        if not runner._resume or runner._load_from is not None:
            return
        chosen = [None, None]
        if is_main_process():
            try:
                chosen[0] = self._newest(runner)
            except CheckpointError as error:
                chosen[1] = error
        broadcast_object_list(chosen)
        path, error = chosen
        if error is not None:
            raise error
        runner._load_from, runner._resume = path, path is not None
        if path is None:
            start = runner.cfg.get('start_from')
            runner.logger.warning(
                f'Nothing to resume in {runner.work_dir}: starting a new run'
                + (f' from {start}' if start else '')
            )
            runner._load_from = start

    def _newest(self, runner) -> str | None:
        folder = Path(runner.work_dir)
        if self.out_dir is not None and self.out_dir != runner.work_dir:
            folder = Path(self.out_dir) / folder.name
        before, after = self.filename_tmpl.split('{}')
        path = newest_valid_checkpoint(
            folder, f'{re.escape(before)}{{}}{re.escape(after)}'
        )
        return None if path is None else str(path)

    def before_train(self, runner) -> None:
        """Prepare as mmengine does, and know of a resumed run's last file."""
        super().before_train(runner)
        # without it the best score of a first validation is not saved again
        self.last_ckpt = runner.message_hub.get_info('last_ckpt')
        if runner._resume and is_main_process():
            self._tidy(runner)

    def _tidy(self, runner) -> None:
        """Clean up after a killed run, and write the note that it could not.

        It may have nothing left to train, and so no checkpoint to write that
        would do it.
        """
        folder, work_dir = Path(self.out_dir), Path(runner.work_dir)
        suffix = Path(self.filename_tmpl).suffix
        for temporary in folder.glob(f'.*{suffix}.tmp'):
            temporary.unlink()
        (work_dir / f'.{NOTE}.tmp').unlink(missing_ok=True)
        last = folder / Path(self.last_ckpt or '').name
        if last.is_file():
            write_atomically(work_dir / NOTE, str(last).encode())

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Refuse to start an epoch again that a checkpoint is within."""
        meta, loop = checkpoint.get('meta', {}), runner._train_loop
        if (
            runner._resume
            and meta.get('batches_done')
            and not hasattr(loop, 'resume_at')
        ):
            raise ValueError(
                f'the checkpoint was saved within epoch {meta["epoch"] + 1}: '
                "resume it with train_cfg=dict(type='ResumableTrainLoop', "
                f'...), not with {type(loop).__name__}'
            )

    def save_interrupted(self, runner, **notes) -> Path:
        """Write ``interrupted.pth``, between two iterations.

        Args:
            runner: In the middle of training.
            notes: For its meta.

        Returns:
            Its path.
        """
        runner.call_hook('before_interrupting')
        runner.save_checkpoint(
            self.out_dir,
            INTERRUPTED,
            meta=dict(epoch=runner.epoch, iter=runner.iter, **notes),
            backend_args=self.backend_args,
            **self.args,
        )
        return Path(self.out_dir) / INTERRUPTED

    def _save_checkpoint_with_step(self, runner, step: int, meta) -> None:
        """Write the file, then its name, then delete outdated files."""
        outdated = []
        if self.max_keep_ckpts > 0:
            kept = [s for s in self.keep_ckpt_ids if s != step] + [step]
            outdated = kept[: -self.max_keep_ckpts]
            kept = kept[-self.max_keep_ckpts :]
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(kept)
            # A run killed before the deletion below deletes on resume.
            runner.message_hub.update_info('keep_ckpt_ids', outdated + kept)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        # of all processes; before_save_checkpoint is called on rank 0 alone
        runner.call_hook('before_saving')
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if not is_main_process():
            return
        note = Path(runner.work_dir) / NOTE
        write_atomically(note, self.last_ckpt.encode())
        names = [self.filename_tmpl.format(old) for old in outdated]
        for name in [*names, INTERRUPTED]:
            path = Path(self.out_dir) / name
            if path.exists():
                path.unlink()

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        """Write the new best file before the old one goes."""
        if not self.save_best:
            return
        # mmengine deletes what it knows as the best file before writing:
        # let it know of none, and delete afterwards.
        before = self._best_paths()
        self._set_best_paths(dict.fromkeys(before))
        super()._save_best_checkpoint(runner, metrics)
        after = self._best_paths()
        self._set_best_paths({k: after[k] or before.get(k) for k in after})
        if not is_main_process():
            return
        for key, old in before.items():
            if old and after[key] and after[key] != old:
                _delete_best(Path(after[key]).parent, old)

    def _best_paths(self) -> dict[str, str | None]:
        if len(self.key_indicators) == 1:
            return {'': self.best_ckpt_path}
        return dict(self.best_ckpt_path_dict)

    def _set_best_paths(self, paths: dict[str, str | None]) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = paths['']
        else:
            self.best_ckpt_path_dict.update(paths)


def _delete_best(folder: Path, old: str) -> None:
    """Delete an outdated file of this run; its path came out of a file."""
    name = Path(old).name
    if name.startswith('best_'):
        (folder / name).unlink(missing_ok=True)
