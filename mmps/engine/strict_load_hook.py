"""Refuse, before it is loaded, a checkpoint that does not fit the model."""

from collections.abc import Sequence

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from torch import nn

from mmps.checkpoints.fit import bare, check_state_dict, training_only
from mmps.checkpoints.overview import overview

from .resume_check import check_resumable
from .unwrapped import unwrapped_model

_RESUMING = (
    'Resume with the config and the data set of the run, or start a new run '
    'from these weights with load_from'
)


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Checks keys and shapes in ``Runner.load_checkpoint`` and ``resume``.

    mmengine loads with ``strict=False`` whatever matches, and a model tested
    with a checkpoint of another architecture scores random weights without an
    error. This hook runs between reading the file and loading the weights,
    before any other hook sees them, for training and testing.

    A new run may be of another data set than the checkpoint. A module that is
    for training only (``training_only``) and has a method ``take_over`` says
    then what of its state in the file it starts with, and why; this is
    logged. ``resume`` loads everything or refuses, and checks the state of
    the run, too (``check_resumable``).

    Args:
        allow: Prefixes of keys that may be missing, unexpected or of another
            shape when weights are loaded to fine-tune. Which weights come
            from the checkpoint and which are new is logged then, by module.
            Never applied to ``resume``.
    """

    priority = 'HIGHEST'  # before ResumableTrainLoop looks at it

    def __init__(self, allow: Sequence[str] = ()) -> None:
        if isinstance(allow, str):
            raise TypeError(f'allow is a list of prefixes, got {allow!r}')
        self.allow = tuple(allow)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Raise CheckpointError unless the checkpoint fits."""
        source = runner._load_from or 'the checkpoint'
        if runner._resume:
            check_resumable(checkpoint, source)
        model = unwrapped_model(runner)
        weights = checkpoint.get('state_dict', checkpoint)
        fresh_starts = {} if runner._resume else _take_over(model, weights)
        report = check_state_dict(
            model,
            weights,
            source,
            allow=() if runner._resume else self.allow,
            hint=_RESUMING if runner._resume else None,
        )
        if not report.fits:
            runner.logger.warning(f'{source}: {overview(report)}')
        for prefix, line in fresh_starts.items():
            runner.logger.info(f'{source}: {prefix[:-1]} {line}')
        lacking = [
            k for k in report.left_out if not k.startswith((*fresh_starts,))
        ]
        if lacking:
            runner.logger.info(
                f'{source}: published weights; {len(lacking)} keys '
                'that only training needs start fresh'
            )
        ours = model.state_dict()
        weights.update({key: ours[key] for key in report.left_out})


def _take_over(model: nn.Module, weights: dict) -> dict[str, str]:
    """Replace, in place, what modules do not take of another run's state.

    Returns:
        Prefix of the keys of such a module -> what it says.
    """
    fresh_starts = {}
    for prefix in training_only(model):
        module = model.get_submodule(prefix[:-1])
        keys = [k for k in weights if bare(k).startswith(prefix)]
        if not keys or not hasattr(module, 'take_over'):
            continue
        saved = {
            bare(key).removeprefix(prefix): weights.pop(key) for key in keys
        }
        state, line = module.take_over(saved)
        weights.update({prefix + key: value for key, value in state.items()})
        if line:
            fresh_starts[prefix] = line
    return fresh_starts
