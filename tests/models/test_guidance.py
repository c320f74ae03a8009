import math

import pytest
import torch

from mmps.models.guidance import (
    mean_of_known,
    order_share,
    people_scores,
    query_order,
    spread,
)


@pytest.mark.parametrize(
    ('wanted', 'others', 'share'),
    [
        ([3.0], [1.0, 2.0], 1.0),
        ([1.5], [1.0, 2.0], 0.5),
        ([0.0], [1.0, 2.0], 0.0),
        ([1.0], [1.0], 0.5),  # a tie counts half
        ([3.0, 0.0], [1.0, 2.0], 0.5),
        ([2.0, 0.0, 2.0], [2.0, 1.0], (0.5 + 1 + 0 + 0 + 0.5 + 1) / 6),
    ],
)
def test_share_of_couples_in_order(wanted, others, share):
    got = order_share(torch.tensor(wanted), torch.tensor(others))
    assert float(got) == pytest.approx(share)


@pytest.mark.parametrize(('wanted', 'others'), [([], [1.0]), ([1.0], [])])
def test_no_couple_has_no_share(wanted, others):
    assert order_share(torch.tensor(wanted), torch.tensor(others)).isnan()


def test_spread_is_over_queries_alone():
    constant = torch.arange(5.0).expand(4, 5)  # differs between channels
    assert float(spread(constant)) == 0
    moved = constant + torch.tensor([[0.0], [1], [0], [1]])
    assert float(spread(moved)) == pytest.approx(math.sqrt(1 / 3))


def test_a_person_scores_as_its_best_anchor():
    people = torch.tensor([[0.0, 0, 10, 20], [50, 50, 60, 70], [90, 0, 99, 9]])
    anchors = torch.tensor(
        [
            [0.0, 0, 10, 20],  # on the first
            [0, 4, 10, 20],  # also, 80 %
            [0, 12, 10, 20],  # 40 % is not on it
            [50, 50, 60, 70],
        ]
    )
    got = people_scores(torch.tensor([0.1, 0.3, 0.9, -2.0]), anchors, people)
    assert got.tolist() == pytest.approx([0.3, -2.0, -math.inf])


def test_people_without_an_anchor_are_left_out():
    scores = torch.tensor([0.5, -math.inf, 0.1])
    wanted = torch.tensor([True, False, False])
    assert float(query_order(scores, wanted)) == 1
    assert query_order(scores, torch.tensor([False, True, False])).isnan()


def test_mean_of_what_is_known():
    nan = torch.tensor(math.nan)
    assert mean_of_known([]) is None
    assert mean_of_known([nan]) is None
    got = mean_of_known([torch.tensor(1.0), nan, torch.tensor(0.5)])
    assert float(got) == 0.75
