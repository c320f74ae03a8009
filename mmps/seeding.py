"""Seeds that are a function of where a run is, not of how it got there.

A generator that is seeded once and then advanced cannot be resumed exactly:
its state depends on every draw before. Here each iteration, and each sample
of each epoch, starts from a seed computed from plain numbers, so that a
resumed run, any number of workers and persistent or fresh workers all see the
same random numbers.

Imports nothing of ours: data sets and the engine both use it.
"""

import random

import numpy as np
import torch


def stateless_seed(*numbers: int) -> int:
    """Mix whole numbers into one well spread seed.

    The order and the count of the numbers matter: (1,), (1, 0) and (0, 1)
    give three different seeds.

    Args:
        numbers: At least one, each >= 0.

    Returns:
        In [0, 2**32).
    """
    if not numbers or min(numbers) < 0:
        raise ValueError(
            f'a seed is mixed from one or more numbers >= 0, got {numbers}'
        )
    # SeedSequence pads with zeros, hence the count in front.
    entropy = (len(numbers), *(int(number) for number in numbers))
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def seed_all(*numbers: int) -> int:
    """Seed Python, NumPy and torch (all devices) from whole numbers.

    A data set calls ``seed_all(self.seed, epoch, index)`` at the start of
    ``__getitem__``; ``StatelessSeedHook`` does the same for the model before
    each iteration.

    Returns:
        The seed that was used, see ``stateless_seed``.
    """
    seed = stateless_seed(*numbers)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - mmdet's transforms draw from it
    torch.manual_seed(seed)
    return seed
