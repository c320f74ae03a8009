"""How much a network looks at its query: figures to watch, not to train on.

Symbols used in this file:
    B   pairs of a query and a gallery image
    C   channels of a block
    n   anchors of an image
    N   people of an image

A guided part can be trained, finite and inert: gates that are the same for
every query, scores that say "a person" and not "this person". None of the
losses shows it; these figures do.
"""

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor


def order_share(wanted: Tensor, others: Tensor) -> Tensor:
    """Share of (wanted, other) couples where the wanted scores higher.

    Args:
        wanted: (a,) scores of what is looked for.
        others: (b,) scores of what is not.

    Returns:
        Scalar in [0, 1]; 0.5 is blind, ties count half; NaN without a couple.
    """
    difference = wanted.float()[:, None] - others.float()[None, :]
    won = (difference > 0).float() + 0.5 * (difference == 0).float()
    return won.mean()


def spread(values: Tensor) -> Tensor:
    """Standard deviation over the first axis, averaged over the others.

    Args:
        values: (B, C) of B different queries for the same gallery image.

    Returns:
        Scalar; NaN for B = 1.
    """
    return values.float().std(dim=0).mean()


def people_scores(scores: Tensor, anchors: Tensor, people: Tensor) -> Tensor:
    """The best score among the anchors on each person.

    Args:
        scores: (n,).
        anchors: (n, 4).
        people: (N, 4).

    Returns:
        (N,); -inf for a person on whom no anchor lies (IoU >= 0.5).
    """
    on = bbox_overlaps(anchors, people) >= 0.5
    low = scores.new_tensor(-torch.inf)
    return torch.where(on, scores[:, None], low).amax(dim=0)


def query_order(scores: Tensor, is_wanted: Tensor) -> Tensor:
    """``order_share`` of one image's people.

    Args:
        scores: (N,), -inf for people who have none.
        is_wanted: (N,) bool; the query's person.
    """
    known = scores > -torch.inf
    return order_share(scores[known & is_wanted], scores[known & ~is_wanted])


def mean_of_known(values: list[Tensor]) -> Tensor | None:
    """Mean of the values that are numbers; None if there is none."""
    if not values:
        return None
    values = torch.stack(values)
    known = values[~values.isnan()]
    return known.mean() if len(known) else None
