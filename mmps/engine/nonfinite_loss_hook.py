"""Stop a run that diverges, on all ranks, and say where."""

from collections.abc import Iterator

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Raises ``FloatingPointError`` at the first loss that is NaN or infinite.

    Stock mmengine trains on, saves NaN weights and exits with 0. This hook
    looks at the loss terms after each iteration: one number is reduced over
    the ranks, so that all stop in the same iteration. The optimiser has made
    its step by then and the weights in memory are spoilt, but the hook runs
    before everything that saves or averages, and the run ends here: the
    checkpoints on disk are the good ones.

    Checked after the step rather than before, since only then every term is
    at hand by name, for any model and any ``OptimWrapper``.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Check the terms whose name has 'loss' in it, as mmengine sums."""
        terms = {
            key: value
            for key, value in (outputs or {}).items()
            if 'loss' in key and isinstance(value, torch.Tensor)
        }
        if not terms:
            return
        values = torch.stack(
            [v.detach().float().mean() for v in terms.values()]
        )
        finite = torch.isfinite(values).all()
        guilty = torch.where(finite, 0, get_rank() + 1).to(torch.int32)
        all_reduce(guilty, 'max')
        if guilty == 0:
            return
        where = f'iteration {runner.iter + 1}, epoch {runner.epoch + 1}'
        if finite:
            raise FloatingPointError(
                f'{where}: stopped because a loss of rank '
                f'{int(guilty) - 1} is NaN or infinite; see its message'
            )
        listed = ', '.join(
            f'{key}={float(value):g}'
            for key, value in zip(terms, values, strict=True)
        )
        images = sorted(set(_image_paths(data_batch))) or ['not known']
        raise FloatingPointError(
            f'{where}, rank {get_rank()}: a loss is NaN or infinite: '
            f'{listed}. Images: {", ".join(images)}. Nothing was saved since; '
            'resume from the last checkpoint with a lower learning rate, a '
            'longer warm-up or clip_grad, and check the boxes of these '
            'images'
        )


def _image_paths(batch) -> Iterator[str]:
    """Yield ``img_path`` of all data samples, however they are nested."""
    if isinstance(batch, dict):
        batch = list(batch.values())
    if isinstance(batch, list | tuple):
        for item in batch:
            yield from _image_paths(item)
    elif isinstance(getattr(batch, 'img_path', None), str):
        yield batch.img_path
