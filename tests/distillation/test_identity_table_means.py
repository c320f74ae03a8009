"""Mean embeddings as a table: against plain numbers, one person at a time."""

import math

import pytest
import torch

from mmps.checkpoints import CheckpointError
from mmps.distillation import (
    compute_table,
    embeddings_of_people,
    read_table,
    write_table,
)
from mmps.structures import UNLABELED
from tests.models.build import build, model_config, scene

NAMES = ('p7', 'p3', 'é 9', 'p1')


def people(sizes, num_ids, dim=6, seed=0):
    """Batches of embeddings of any length, some of nobody."""
    generator = torch.Generator().manual_seed(seed)
    for size in sizes:
        x = torch.randn(size, dim, generator=generator)
        ids = torch.randint(UNLABELED, num_ids, (size,), generator=generator)
        yield x * torch.rand(size, 1, generator=generator) * 9, ids


def mean_slowly(batches, num_ids):
    """One person at a time, in plain numbers."""
    of_identity = [[] for _ in range(num_ids)]
    for x, ids in batches:
        for row, identity in zip(x.tolist(), ids.tolist(), strict=True):
            if identity >= 0:
                length = math.hypot(*row)
                of_identity[identity].append([v / length for v in row])
    means = [
        [sum(values) / len(rows) for values in zip(*rows, strict=True)]
        for rows in of_identity
    ]
    return torch.tensor(
        [[v / math.hypot(*mean) for v in mean] for mean in means]
    )


class TestComputing:
    def test_a_row_is_the_mean_of_its_people(self):
        batches = list(people([7, 0, 1, 12, 20], 4))
        assert any((ids == UNLABELED).any() for _, ids in batches)
        table = compute_table(batches, list(NAMES), 'a teacher')
        expected = mean_slowly(batches, 4)
        torch.testing.assert_close(table.rows, expected, rtol=0, atol=1e-6)
        assert table.rows.dtype == torch.float32
        assert table.names == NAMES
        assert (table.source, table.origin) == ('a teacher', 'a teacher')

    def test_neither_batches_nor_lengths_matter(self):
        batches = list(people([9, 11], 4))
        x = torch.cat([x for x, _ in batches])
        ids = torch.cat([ids for _, ids in batches])
        long = compute_table([(100 * x, ids.int())], NAMES, 'one')
        short = compute_table(batches, NAMES, 'two')
        torch.testing.assert_close(long.rows, short.rows, rtol=0, atol=1e-6)

    def test_people_without_identity_are_left_out(self):
        x = torch.tensor([[1.0, 0], [0, 1], [-1, 0]])
        table = compute_table(
            [(x, torch.tensor([1, 0, UNLABELED]))], ('a', 'b'), 'x'
        )
        assert table.rows.tolist() == [[0, 1], [1, 0]]

    def test_an_identity_that_no_image_shows_is_named(self):
        x = torch.eye(3, 6)
        ids = torch.tensor([0, 2, UNLABELED])
        match = r'a teacher: 2 of 4 .* zero: identities p1, p3\.'
        with pytest.raises(CheckpointError, match=match):
            compute_table([(x, ids)], NAMES, 'a teacher')

    def test_embeddings_that_are_not_finite_are_named(self):
        x, ids = torch.eye(4, 6), torch.arange(4)
        x[1, 0] = math.nan
        match = '1 of 4 .* not finite: identities p3'
        with pytest.raises(CheckpointError, match=match):
            compute_table([(x, ids)], NAMES, 'a teacher')

    def test_no_image_is_an_error(self):
        with pytest.raises(CheckpointError, match='there is no image'):
            compute_table([], NAMES, 'a teacher')

    def test_it_can_be_written_and_read(self, tmp_path):
        table = compute_table(people([30], 4), NAMES, 'a teacher')
        write_table(table, tmp_path / 'lut.pth')
        again = read_table(tmp_path / 'lut.pth')
        torch.testing.assert_close(again.rows, table.rows)
        assert again.origin == 'a teacher'


PEOPLE = [[10, 10, 40, 90], [60, 5, 100, 95]]


def data_of(*scenes):
    images, samples = zip(*scenes, strict=True)
    return dict(inputs=list(images), data_samples=list(samples))


class TestEmbedding:
    def test_people_are_embedded_as_in_a_test(self):
        model = build().eval()
        # 2.0: annotations are in original pixels
        scenes = [
            scene(PEOPLE, [3, UNLABELED], scale=2.0, seed=1),
            scene([], seed=2),
            scene(PEOPLE[1:], [5], seed=3),
        ]
        got = list(
            embeddings_of_people(model.embed_people, [data_of(*scenes)])
        )
        assert [ids.tolist() for _, ids in got] == [[3, UNLABELED], [], [5]]
        tested = model.test_step(data_of(*scenes))
        for (embeddings, _), sample in zip(got, tested, strict=True):
            assert not embeddings.requires_grad
            expected = sample.gt_instances.embeddings
            assert torch.equal(embeddings, expected)
        assert not torch.equal(got[0][0][0], got[0][0][1])

    def test_a_network_without_embeddings_is_refused(self):
        cfg = model_config()
        cfg.roi_head.pop('oim_head')
        model = build(cfg).eval()
        data = data_of(scene(PEOPLE, [3, 4]))
        with pytest.raises(ValueError, match=r'gt_instances\.embeddings'):
            list(embeddings_of_people(model.embed_people, [data]))
