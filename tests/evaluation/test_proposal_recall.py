from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmps.evaluation.proposal_recall import (
    proposals_of_pairs,
    rank_of_person,
    recall_at,
)
from mmps.structures import Gallery, Protocol

PERSON = np.array([10.0, 10, 20, 40])


@pytest.mark.parametrize(
    ('proposals', 'rank'),
    [
        ([[10, 10, 20, 40], [0, 0, 5, 5]], 1),
        ([[50, 0, 60, 30], [10, 10, 20, 25], [10, 10, 20, 40]], 2),
        ([[50, 0, 60, 30], [10, 10, 20, 24]], 0),
        (np.zeros((0, 4)), 0),
    ],
    ids=['at once', 'half is enough', 'less is not', 'no proposals'],
)
def test_rank_is_of_the_first_that_lies_on_the_person(proposals, rank):
    assert rank_of_person(np.array(proposals, float), PERSON) == rank


def test_recall_counts_who_is_among_the_first():
    assert recall_at([1, 3, 0, 10], [1, 2, 3, 10]) == {
        1: 0.25,
        2: 0.25,
        3: 0.5,
        10: 0.75,
    }


def test_every_image_that_shows_the_person_is_a_case():
    """Two queries, of which the second is shown twice and proposed once."""
    galleries = (
        Gallery(np.array([4, 5]), np.array([5]), PERSON[None]),
        Gallery(np.array([6, 7]), np.array([6, 7]), np.stack([PERSON] * 2)),
    )
    away = PERSON + 100

    def proposals(query, image):
        guided = PERSON if (query, image) != (9, 7) else away
        return (
            torch.tensor(np.stack([away, PERSON])),
            torch.tensor(guided)[None],
        )

    meta = dict(protocols={'G2': Protocol(np.array([3, 9]), galleries)})
    loop = SimpleNamespace(
        dataset=SimpleNamespace(metainfo=meta),
        searcher=lambda: SimpleNamespace(
            proposals=proposals,
            begin_query=lambda item, box: item,
            begin_gallery=lambda item: item,
        ),
        pictures=lambda: nullcontext(
            SimpleNamespace(
                queries=lambda numbers: ((n, PERSON) for n in numbers),
                images=iter,
            )
        ),
    )
    cases = proposals_of_pairs(loop, 'G2')
    assert [(case.query, case.image) for case in cases] == [
        (3, 5),
        (9, 6),
        (9, 7),
    ]
    assert [case.rpn_rank for case in cases] == [2, 2, 2]
    assert [case.guided_rank for case in cases] == [1, 1, 0]
    assert len(proposals_of_pairs(loop, 'G2', num_queries=1)) == 1
    with pytest.raises(ValueError, match='G9'):
        proposals_of_pairs(loop, 'G9')
