"""Batches of images that lie or of images that stand: little padding.

Symbols used in this file:
    B   images of a batch of one process
"""

from collections.abc import Iterator
from copy import copy

from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler

from .errors import DatasetError


@DATA_SAMPLERS.register_module()
class OrientationBatchSampler(BatchSampler):
    """Keeps images that are taller than wide apart from the others.

    A batch is padded to its largest height and width: 600 x 1000 beside
    1000 x 600 is 40 % padding. Images are taken in the order of the sampler,
    and a batch is given out when it is full. Those left at the end of an
    epoch are mixed, so that it has as many batches as without grouping. Of
    images of one orientation the batches are those without grouping.

    Processes share batches of B times their number: together they see what
    one process with as large a batch sees, and have equally many batches.
    (mmdet's ``AspectRatioBatchSampler`` groups what each process has drawn,
    so that their images together are no batch of one process.)

    Which batches an epoch has depends on seed, epoch and images alone, not on
    epochs before it.

    Args:
        sampler: Whose data set has ``image_size(index)``, as
            ``PersonSearchDataset``. Images whose size cannot be read count as
            lying; loading them tells what is wrong.
        batch_size: B.
    """

    def __init__(self, sampler: DefaultSampler, batch_size: int) -> None:
        if not isinstance(sampler, DefaultSampler) or not sampler.round_up:
            raise TypeError(
                'OrientationBatchSampler needs the order of a DefaultSampler '
                f'with round_up=True, got {sampler}'
            )
        if not hasattr(sampler.dataset, 'image_size'):
            raise TypeError(
                f'{type(sampler.dataset).__name__} does not tell the size of '
                'its images (image_size); train_dataloader.batch_sampler=None '
                'leaves batches as they are drawn'
            )
        super().__init__(sampler, batch_size, drop_last=False)
        self._standing: dict[int, bool] = {}

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._shared_batches():
            yield batch[self.sampler.rank :: self.sampler.world_size]

    def _shared_batches(self) -> Iterator[list[int]]:
        """Of all processes; all but the last one are full."""
        size = self.batch_size * self.sampler.world_size
        lying, standing = [], []
        everything = copy(self.sampler)
        everything.rank, everything.world_size = 0, 1
        order = list(everything)
        number = len(self.sampler.dataset)
        for index in order[:number]:
            group = standing if self._stands(index) else lying
            group.append(index)
            if len(group) == size:
                yield group[:]
                group.clear()
        # with those seen again, so that each process has equally many
        left = lying + standing + order[number:]
        for start in range(0, len(left), size):
            yield left[start : start + size]

    def _stands(self, index: int) -> bool:
        if index not in self._standing:
            try:
                width, height = self.sampler.dataset.image_size(index)
            except DatasetError:
                width = height = 0
            self._standing[index] = height > width
        return self._standing[index]
