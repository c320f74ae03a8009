from collections import Counter

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner
from torch.utils.data import BatchSampler

from mmps.datasets import CUHKSYSUDataset, DatasetError
from mmps.datasets.orientation_batches import OrientationBatchSampler
from tests.engine import toy
from tests.models.build import CONFIGS

from .layouts import save_image, write_cuhk


class Sizes(list):
    """A data set of (width, height); None cannot be read."""

    def image_size(self, index):
        if self[index] is None:
            raise DatasetError(f'{index}.jpg', 'cannot be read')
        return self[index]


def drawn(sizes, epoch=0, rank=0, world_size=1):
    """mmengine's sampler of one process."""
    sampler = DefaultSampler(Sizes(sizes), seed=3)
    sampler.rank, sampler.world_size = rank, world_size
    sampler.num_samples = -(-len(sizes) // world_size)
    sampler.total_size = sampler.num_samples * world_size
    sampler.set_epoch(epoch)
    return sampler


def grouped(sizes, batch_size, **options):
    return OrientationBatchSampler(drawn(sizes, **options), batch_size)


def mixed(number):
    generator = torch.Generator().manual_seed(number)
    tall = torch.rand(number, generator=generator) < 0.3
    return [(60, 80) if t else (80, 60) for t in tall.tolist()]


NUMBERS = (1, 7, 24, 29, 61)
CASES = pytest.mark.parametrize(
    ('number', 'batch_size', 'world_size'),
    [(n, b, w) for n in NUMBERS for b in (1, 3, 5) for w in (1, 2, 3)],
)


@CASES
@pytest.mark.parametrize('size', [(80, 60), (60, 80), (70, 70), None])
def test_of_one_shape_the_batches_are_those_without_grouping(
    size, number, batch_size, world_size
):
    for rank in range(world_size):
        options = dict(epoch=1, rank=rank, world_size=world_size)
        sizes = [size] * number
        plain = BatchSampler(drawn(sizes, **options), batch_size, False)
        got = grouped(sizes, batch_size, **options)
        assert list(got) == list(plain)
        assert len(got) == len(plain)


@CASES
def test_processes_share_the_batches_of_one(number, batch_size, world_size):
    sizes = mixed(number)
    one = list(grouped(sizes, batch_size * world_size, epoch=2))
    shares = [
        grouped(sizes, batch_size, epoch=2, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    lengths = {len(share) for share in shares}
    assert lengths == {len(list(share)) for share in shares} == {len(one)}
    steps = list(zip(*shares, strict=True))
    for batch, parts in zip(one, steps, strict=True):
        assert len({len(part) for part in parts}) == 1
        together = Counter(index for part in parts for index in part)
        again = together - Counter(batch)
        assert together - again == Counter(batch)
        # some are seen again in the end, so that all have equally many
        assert again.total() == -len(batch) % world_size
    assert sorted(i for batch in one for i in batch) == list(range(number))


@CASES
def test_but_for_the_end_a_batch_has_one_orientation(
    number, batch_size, world_size
):
    sizes = mixed(number)
    batches = [
        [sizes[index] for index in batch]
        for batch in grouped(sizes, batch_size, world_size=world_size)
    ]
    mixed_ones = [i for i, batch in enumerate(batches) if len({*batch}) > 1]
    assert all(i >= len(batches) - 2 for i in mixed_ones)
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_images_of_an_orientation_keep_their_order():
    sizes = mixed(61)
    order = list(drawn(sizes))
    batches = list(grouped(sizes, 4))
    for size in {*sizes}:
        expected = [i for i in order if sizes[i] == size]
        assert [i for b in batches for i in b if sizes[i] == size] == expected


def test_an_epoch_does_not_depend_on_those_before_it():
    sizes = mixed(29)
    resumed = grouped(sizes, 4, epoch=1)
    unbroken = grouped(sizes, 4, epoch=0)
    first = next(iter(unbroken))  # left in the middle of an epoch
    assert next(iter(unbroken)) == first
    unbroken.sampler.set_epoch(1)
    assert list(unbroken) == list(resumed)
    assert next(iter(resumed)) != first


def test_a_size_is_read_once():
    sizes, calls = Sizes(mixed(7)), []
    sampler = drawn(sizes)
    sampler.dataset.image_size = lambda i: calls.append(i) or sizes[i]
    batches = OrientationBatchSampler(sampler, 3)
    assert len(batches) == 3
    assert not calls  # and not before it is needed
    for _ in range(2):
        assert len(list(batches)) == 3
    assert sorted(calls) == list(range(7))


def test_other_samplers_and_data_sets_are_refused():
    with pytest.raises(TypeError, match='round_up=True'):
        OrientationBatchSampler(DefaultSampler([1], round_up=False), 2)
    with pytest.raises(TypeError, match='round_up=True'):
        OrientationBatchSampler(torch.utils.data.SequentialSampler([1]), 2)
    match = r'list does not tell .*train_dataloader\.batch_sampler=None'
    with pytest.raises(TypeError, match=match):
        OrientationBatchSampler(DefaultSampler([1]), 2)


@pytest.fixture
def root(tmp_path):
    root = write_cuhk(tmp_path / 'cuhk')
    save_image(root / 'Image/SSM/s2.jpg', width=40, height=60)
    return root


def test_a_data_set_tells_the_sizes_of_its_images(root):
    dataset = CUHKSYSUDataset(data_root=root, split='train')
    sizes = [dataset.image_size(i) for i in range(len(dataset))]
    assert sizes == [(60, 40), (40, 60), (60, 40)]
    (root / 'Image/SSM/s1.jpg').write_bytes(b'no picture')
    with pytest.raises(DatasetError, match=r's1\.jpg.*size'):
        dataset.image_size(0)
    (root / 'Image/SSM/s2.jpg').unlink()
    with pytest.raises(DatasetError, match=r's2\.jpg'):
        dataset.image_size(1)


def test_batches_of_the_configs_are_grouped(root):
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/cuhk_sysu.py')
    loader = cfg.train_dataloader
    loader.dataset.data_root = str(root)
    loader.update(num_workers=0, persistent_workers=False, batch_size=2)
    built = Runner.build_dataloader(loader, seed=0)
    assert isinstance(built.batch_sampler, OrientationBatchSampler)
    assert len(built) == 2
    batches = [
        {tuple(image.shape[1:]) for image in batch['inputs']}
        for batch in built
    ]
    assert batches == [{(600, 900)}, {(900, 600)}]


def test_pairs_are_not_grouped():
    for name in ('cuhk_sysu_pairs', 'prw_pairs', 'synth_pairs'):
        cfg = Config.fromfile(CONFIGS / f'_base_/datasets/{name}.py')
        assert cfg.train_dataloader.get('batch_sampler') is None


def test_a_resumed_run_equals_the_unbroken_one(tmp_path, monkeypatch):
    monkeypatch.setattr(
        toy.ToyData,
        'image_size',
        lambda self, index: (2, 3) if index % 3 else (3, 2),
        raising=False,
    )
    options = {
        'train_dataloader.batch_sampler': dict(type='OrientationBatchSampler')
    }
    unbroken = toy.train(tmp_path / 'unbroken', **options)
    stop = dict(custom_hooks=[dict(type='StopHook', epoch=1)])
    with pytest.raises(toy.Stop):
        toy.train(tmp_path / 'parts', **options, **stop)
    resumed = toy.train(tmp_path / 'parts', resume=True, **options)
    assert toy.fingerprint(resumed) == toy.fingerprint(unbroken)
    plain = toy.train(tmp_path / 'plain')
    assert toy.fingerprint(plain) != toy.fingerprint(unbroken)
