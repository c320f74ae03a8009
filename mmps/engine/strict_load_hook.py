"""Refuse, before it is loaded, a checkpoint that does not fit the model."""

from collections.abc import Sequence

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from .errors import CheckpointError
from .key_overview import overview
from .key_report import check_state_dict


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Checks keys and shapes in ``Runner.load_checkpoint`` and ``resume``.

    mmengine loads with ``strict=False`` whatever matches, and a model tested
    with a checkpoint of another architecture scores random weights without an
    error. This hook runs between reading the file and loading the weights,
    before any other hook sees them, for training and testing. What published
    weights leave out (``training_only``) keeps the values that it has.

    Args:
        allow: Prefixes of keys that may be missing, unexpected or of another
            shape when weights are loaded to fine-tune. Which weights come
            from the checkpoint and which are new is logged then, by module.
            Never applied to ``resume``.
    """

    priority = 'VERY_HIGH'

    def __init__(self, allow: Sequence[str] = ()) -> None:
        if isinstance(allow, str):
            raise TypeError(f'allow is a list of prefixes, got {allow!r}')
        self.allow = tuple(allow)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Raise CheckpointError unless the checkpoint fits."""
        source = runner._load_from or 'the checkpoint'
        if runner._resume:
            _check_resumable(checkpoint, source)
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        state = checkpoint.get('state_dict', checkpoint)
        report = check_state_dict(
            model,
            state,
            source,
            allow=() if runner._resume else self.allow,
        )
        # as they are; else mmengine says that the weights do not match
        own = model.state_dict()
        state.update({key: own[key] for key in report.left_out})
        if not report.fits:
            runner.logger.warning(f'{source}: {overview(report)}')


def _check_resumable(checkpoint: dict, source) -> None:
    meta = checkpoint.get('meta')
    lacking = [
        name
        for name, there in (
            ('meta.epoch', isinstance(meta, dict) and 'epoch' in meta),
            ('meta.iter', isinstance(meta, dict) and 'iter' in meta),
            ('message_hub', 'message_hub' in checkpoint),
            ('state_dict', 'state_dict' in checkpoint),
            ('optimizer', 'optimizer' in checkpoint),
        )
        if not there
    ]
    if lacking:
        raise CheckpointError(
            source,
            f'cannot be resumed from, it has no {", ".join(lacking)}',
            'It holds weights only; start a new run with load_from instead',
        )
