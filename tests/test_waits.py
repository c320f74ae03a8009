"""The counter of waits counts what it says, and nothing else."""

import numpy as np
import torch

from tests.waits import counted_waits


def test_what_waits_is_counted():
    x, ids = torch.rand(5, 2), torch.arange(5)
    for step in (
        lambda: x[ids > 2],
        lambda: x.__setitem__(ids > 2, torch.zeros(2)),
        lambda: int(ids.max()),
        lambda: bool(ids.any()),
        lambda: ids.tolist(),
        lambda: ids.numpy(force=True),
        lambda: ids.cpu(),
        lambda: ids.nonzero(),
        lambda: ids.unique(),
        lambda: torch.equal(ids, ids),
        lambda: x.masked_select(x > 0),
        lambda: x.repeat_interleave(ids, dim=0),
        lambda: list(range(ids[3])),
    ):
        with counted_waits() as waits:
            step()
        assert sum(waits.values()) == 1, waits


def test_what_goes_on_is_not():
    x, ids = torch.rand(5, 2), torch.arange(5)
    with counted_waits() as waits:
        x[ids] = x[ids.flip(0)] * 2
        x[:3].where(ids[:3, None] > 2, 0).sum().clamp(min=1)
        torch.from_numpy(np.arange(3)).to(x.device, non_blocking=True)
    assert not waits
