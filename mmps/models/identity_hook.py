"""Hands the identity names of the training set to the lookup table."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from .oim_loss import OIMLoss


@HOOKS.register_module()
class IdentityNamesHook(Hook):
    """Before training, tells every ``OIMLoss`` who the rows of its table are.

    The names are saved with the table, so that tables can be compared and
    permuted. Starts nothing and changes nothing for a detector alone.

    Raises:
        ValueError: Number or names of the identities do not fit the table.
    """

    def before_train(self, runner: Runner) -> None:
        """Read ``identity_names`` of the training set's metainfo."""
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        names = runner.train_dataloader.dataset.metainfo.get('identity_names')
        for module in model.modules():
            if isinstance(module, OIMLoss) and names is not None:
                module.name_identities(names)
