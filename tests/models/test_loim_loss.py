import pytest
import torch

from mmps.models import LOIMLoss, OIMLoss
from mmps.structures import BACKGROUND, UNLABELED
from tests.models.test_oim_loss import random_batch
from tests.ranks import run_ranks

OVERLAPS = torch.tensor([0.1, 0.7, 0.85, 1.0, 0.8, 0.0])
IDS = torch.tensor([2, 0, 2, 1, UNLABELED, BACKGROUND])


def make(**options):
    return LOIMLoss(num_ids=4, feat_dim=6, queue_size=3, **options)


def test_rows_move_by_the_overlap():
    loss, (x, _) = make().double(), random_batch(6, 4, seed=0)
    x = x.double()
    loss.table.copy_(random_batch(4, 4, seed=1)[0])
    rows = [row.clone() for row in loss.table]
    loss(x, IDS, OVERLAPS)
    for at, share in ((0, 0.7), (1, 0.7), (2, 0.85), (3, 0.9)):
        row = IDS[at]
        moved = (1 - share) * rows[row] + share * x[at]
        rows[row] = moved / moved.norm()
    # overlaps are float32
    torch.testing.assert_close(
        loss.table, torch.stack(rows), rtol=0, atol=1e-7
    )
    torch.testing.assert_close(loss.queue[0], x[4])
    assert loss.queue_head == 1


def test_a_fixed_overlap_is_a_momentum():
    x, ids = random_batch(6, 4, seed=0)
    loss = make(overlap_range=(0.5, 0.5))
    plain = OIMLoss(num_ids=4, feat_dim=6, queue_size=3, momentum=0.5)
    assert torch.equal(loss(x, ids, torch.rand(6)), plain(x, ids))
    assert torch.equal(loss.table, plain.table)
    assert torch.equal(loss.queue, plain.queue)


def test_overlaps_are_needed_to_remember_alone():
    x, ids = random_batch(6, 4, seed=0)
    loss = make()
    with pytest.raises(ValueError, match='needs the overlap'):
        loss(x, ids)
    loss.eval()(x, ids)


def run_share(rank, world_size):
    """Three steps on this rank's share of each global batch."""
    loss = make().double()
    for seed in range(3):
        x, ids = random_batch(12, 4, seed=seed)
        overlaps = torch.rand(
            12, generator=torch.Generator().manual_seed(seed)
        )
        share = slice(12 * rank // world_size, 12 * (rank + 1) // world_size)
        loss(x[share], ids[share], overlaps[share])
    return loss.state_dict()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    state = run_share(0, 1)
    for got in run_ranks(2, tmp_path, run_share, 2):
        for key in ('table', 'queue', 'queue_head'):
            torch.testing.assert_close(got[key], state[key])


@pytest.mark.parametrize('limits', [(0.9, 0.7), (-0.1, 0.5), (0.5, 1.1)])
def test_bad_limits_are_named(limits):
    with pytest.raises(ValueError, match='overlap_range'):
        make(overlap_range=limits)
