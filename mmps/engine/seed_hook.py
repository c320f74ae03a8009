"""Random numbers that a resumed run draws again, bit for bit."""

from collections.abc import Iterator

from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from mmps.seeding import seed_all

#: Second number of the model's seeds; data sets mix three numbers, not four.
MODEL_STREAM = 1


@HOOKS.register_module()
class StatelessSeedHook(Hook):
    """Seeds the model by (seed, iteration, rank) and tells data the epoch.

    A batch is fetched before ``before_train_iter``, so the seeds set here
    reach the model alone. A data set seeds each sample itself, by
    ``seed_all(self.seed, epoch, index)``, from what this hook hands to it:

        seed                an attribute, set once before training
        set_epoch(epoch)    called before each epoch; must reach workers that
                            already run, as a shared ``mp.Value`` does

    Wrappers (``ConcatDataset``, ``RepeatDataset``, ...) are looked through.
    Data sets without these are left alone.

    Needs a seed in the config (``randomness=dict(seed=0)``): otherwise the
    sampler of a resumed run is shuffled by another one.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Hand the seed to the data sets."""
        for dataset in _walk(runner.train_dataloader.dataset):
            if not callable(getattr(dataset, 'set_epoch', None)):
                continue
            if not isinstance(runner.train_loop, EpochBasedTrainLoop):
                raise ValueError(
                    f'{type(runner.train_loop).__name__} has no epochs, so '
                    'every pass would augment an image in the same way; use '
                    "train_cfg=dict(type='EpochBasedTrainLoop', ...)"
                )
            dataset.seed = runner.seed

    def before_train_epoch(self, runner) -> None:
        """Tell the data sets the epoch."""
        for dataset in _walk(runner.train_dataloader.dataset):
            if callable(getattr(dataset, 'set_epoch', None)):
                dataset.set_epoch(runner.epoch)

    def before_train_iter(
        self, runner, batch_idx: int, data_batch=None
    ) -> None:
        """Seed Python, NumPy and torch for this iteration of the model."""
        seed_all(runner.seed, MODEL_STREAM, runner.iter, get_rank())


def _walk(dataset) -> Iterator:
    """Yield a data set and those inside it."""
    yield dataset
    inner = vars(dataset).get('dataset')
    for child in [*vars(dataset).get('datasets', ()), inner]:
        if child is not None:
            yield from _walk(child)
