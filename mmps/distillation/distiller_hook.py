"""Gives a student its teacher, and keeps what is neither's weights."""

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmps.engine import CheckpointError

from .knowledge_distiller import KnowledgeDistiller


@HOOKS.register_module()
class DistillerHook(Hook):
    """Reads the teacher before training; saves and resumes the adapter.

    The weights in a checkpoint are those of the plain student. The adapter of
    the hint, which only training needs, is beside them in the entry
    ``distiller``. Does nothing for a model without ``KnowledgeDistiller``.
    """

    def before_train(self, runner: Runner) -> None:
        """Read the teacher."""
        model = _unwrapped(runner.model)
        for distiller in _distillers(model):
            distiller.load_teacher(model)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the entry ``distiller``: name -> tensor."""
        for distiller in _distillers(_unwrapped(runner.model)):
            checkpoint['distiller'] = {
                name: parameter.detach().cpu().clone()
                for name, parameter in distiller.named_parameters()
            }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Give a resumed run its adapter back."""
        if not runner._resume:
            return
        for distiller in _distillers(_unwrapped(runner.model)):
            saved = checkpoint.get('distiller', {})
            ours = dict(distiller.named_parameters())
            shapes = [
                {name: tuple(tensor.shape) for name, tensor in part.items()}
                for part in (ours, saved)
            ]
            if shapes[0] != shapes[1]:
                raise CheckpointError(
                    runner._load_from or 'the checkpoint',
                    'was not trained with this distiller: its entry '
                    f'`distiller` has {shapes[1]}, the config asks for '
                    f'{shapes[0]}',
                    'Resume with the config of the run, or start a new run '
                    'from these weights with load_from',
                )
            for name, parameter in ours.items():
                parameter.data.copy_(saved[name])


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def _distillers(model: nn.Module) -> list[KnowledgeDistiller]:
    return [m for m in model.modules() if isinstance(m, KnowledgeDistiller)]
