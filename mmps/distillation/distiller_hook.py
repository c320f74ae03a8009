"""Gives a student its teacher, and keeps what is neither's weights."""

import logging

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from mmps.checkpoints import CheckpointError
from mmps.engine import unwrapped_model

from .knowledge_distiller import KnowledgeDistiller


@HOOKS.register_module()
class DistillerHook(Hook):
    """Reads the teacher before training; saves and resumes the adapter.

    The weights in a checkpoint are those of the plain student. The adapter of
    the hint, which only training needs, is beside them in the entry
    ``distiller``, with the path and the fingerprint of the teacher: a run
    cannot be resumed with another one. Does nothing for a model without
    ``KnowledgeDistiller``.
    """

    def __init__(self) -> None:
        # the checkpoint of a resumed run, and what it says of its teacher
        self._resumed: tuple[str, dict | None] | None = None

    def before_train(self, runner: Runner) -> None:
        """Read the teacher.

        Raises:
            CheckpointError: It cannot be read, or a resumed run had another.
        """
        model = unwrapped_model(runner)
        for distiller in _distillers(model):
            distiller.load_teacher(model)
            if self._resumed is not None:
                _check_same_teacher(distiller, *self._resumed)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the entry ``distiller``: name -> tensor, and ``teacher``."""
        for distiller in _distillers(unwrapped_model(runner)):
            checkpoint['distiller'] = {
                name: parameter.detach().cpu().clone()
                for name, parameter in distiller.named_parameters()
            }
            checkpoint['distiller']['teacher'] = dict(
                checkpoint=distiller.checkpoint,
                fingerprint=distiller.teacher.fingerprint,
            )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Give a resumed run its adapter back; the teacher is read later."""
        if not runner._resume:
            return
        for distiller in _distillers(unwrapped_model(runner)):
            source = runner._load_from or 'the checkpoint'
            saved, taught_by = _entry(checkpoint, source)
            self._resumed = source, taught_by
            ours = dict(distiller.named_parameters())
            shapes = [
                {name: tuple(tensor.shape) for name, tensor in part.items()}
                for part in (ours, saved)
            ]
            if shapes[0] != shapes[1]:
                raise CheckpointError(
                    source,
                    'was not trained with this distiller: its entry '
                    f'`distiller` has {shapes[1]}, the config asks for '
                    f'{shapes[0]}',
                    'Resume with the config of the run, or start a new run '
                    'from these weights with load_from',
                )
            for name, parameter in ours.items():
                parameter.data.copy_(saved[name])


def _entry(checkpoint: dict, source: str) -> tuple[dict, dict | None]:
    """Parameters and teacher of what ``before_save_checkpoint`` adds."""
    saved = checkpoint.get('distiller', {})
    fine = isinstance(saved, dict)
    tensors = dict(saved) if fine else {}
    taught_by = tensors.pop('teacher', None)
    fine &= all(isinstance(value, Tensor) for value in tensors.values())
    if taught_by is not None:
        fine &= isinstance(taught_by, dict) and all(
            isinstance(taught_by.get(key), str)
            for key in ('checkpoint', 'fingerprint')
        )
    if not fine:
        raise CheckpointError(
            source,
            'cannot be resumed from: `distiller` should be a dict of tensors '
            'and `teacher`, a dict with `checkpoint` and `fingerprint`',
            'Resume from another checkpoint of the run',
        )
    return tensors, taught_by


def _check_same_teacher(
    distiller: KnowledgeDistiller, resumed: str, taught_by: dict | None
) -> None:
    """Compare the teacher with that of the checkpoint that is resumed."""
    if taught_by is None:
        print_log(
            f'{resumed} does not name its teacher; files of earlier versions '
            'of mmps and of runs without a teacher do not. Make sure that it '
            f'was {distiller.checkpoint}',
            logger='current',
            level=logging.WARNING,
        )
        return
    found = distiller.teacher.fingerprint
    if found != taught_by['fingerprint']:
        raise CheckpointError(
            distiller.checkpoint,
            f'is not the teacher that this run was started with: its weights '
            f'have the fingerprint {found}; those of '
            f'{taught_by["checkpoint"]}, the teacher of {resumed}, have '
            f'{taught_by["fingerprint"]}',
            'Resume with the same teacher, or start a new run from the '
            "student's weights with load_from",
        )


def _distillers(model: nn.Module) -> list[KnowledgeDistiller]:
    return [m for m in model.modules() if isinstance(m, KnowledgeDistiller)]
