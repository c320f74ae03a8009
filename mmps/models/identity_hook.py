"""Hands the identity names of the training set to the lookup table."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner

from .oim_loss import OIMLoss


@HOOKS.register_module()
class IdentityNamesHook(Hook):
    """Tells every ``OIMLoss`` who the rows of its table are.

    The names are saved with the table, so that tables can be compared and
    permuted. Starts nothing and changes nothing for a detector alone, nor for
    a test.

    Raises:
        ValueError: Number or names of the identities do not fit the table.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Name the rows, before EMAHook copies the model.

        The loop is there when training starts; asking a test for it would
        build the training data.
        """
        if isinstance(runner._train_loop, BaseLoop):
            _name_rows(runner)

    def before_train(self, runner: Runner) -> None:
        """Refuse the table of other people, which may have been resumed."""
        _name_rows(runner)


def _name_rows(runner: Runner) -> None:
    """Hand over ``identity_names`` of the training set's metainfo."""
    model = runner.model
    model = model.module if is_model_wrapper(model) else model
    names = runner.train_dataloader.dataset.metainfo.get('identity_names')
    for module in model.modules():
        if isinstance(module, OIMLoss) and names is not None:
            module.name_identities(names)
