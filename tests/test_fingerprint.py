"""Sixteen digits of all that a network depends on."""

import pytest
import torch

from mmps.fingerprint import fingerprint

WEIGHTS = {'a': torch.tensor([1.0, 2]), 'b': torch.tensor([[3.0]])}


def print_of(weights=WEIGHTS, **settings):
    return fingerprint(
        weights, dict(fp16=False, model=dict(a=1, b='c')) | settings
    )


def test_a_fingerprint_is_a_short_name_of_a_folder():
    assert len(print_of()) == 16
    assert print_of().isalnum()


@pytest.mark.parametrize(
    'change',
    [
        dict(),
        dict(weights=dict(reversed(WEIGHTS.items()))),
        dict(weights={**WEIGHTS, 'a': torch.tensor([1.0, 9, 2, 9])[::2]}),
        dict(model=dict(b='c', a=1)),
    ],
    ids=['nothing', 'order of weights', 'strides', 'order of settings'],
)
def test_what_a_network_does_not_depend_on_leaves_the_fingerprint(change):
    assert print_of(**change) == print_of()


@pytest.mark.parametrize(
    'change',
    [
        dict(weights={**WEIGHTS, 'b': torch.tensor([[3.1]])}),
        dict(weights={'a': WEIGHTS['a'], 'c': WEIGHTS['b']}),
        dict(weights={'a': WEIGHTS['a']}),
        dict(fp16=True),
        dict(model=dict(a=1, b='d')),
        dict(more=None),
    ],
    ids=str,
)
def test_another_network_has_another_fingerprint(change):
    assert print_of(**change) != print_of()
