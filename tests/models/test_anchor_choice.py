"""Both choices against slow loops and by hand."""

import pytest
import torch
from mmengine.config import ConfigDict

from mmps.models.anchor_choice import others_first, select_anchors


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inside = max(width, 0) * max(height, 0)
    areas = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return inside / (areas - inside)


# --- proposals


def proposal_cfg(**options):
    nms = dict(type='nms', iou_threshold=0.3)
    cfg = dict(nms_pre=90, max_per_img=60, min_bbox_size=6, nms=nms)
    return ConfigDict(cfg | options)


def draw(number, seed=0):
    """Scores and boxes in whole pixels, some without area.

    Few scores: ties go to the anchor that is numbered first.
    """
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 60, (number, 2), generator=generator)
    sides = torch.randint(0, 30, (number, 2), generator=generator)
    boxes = torch.cat([corners, corners + sides], dim=1).float()
    scores = torch.randint(0, 20, (number,), generator=generator) / 20
    return scores, boxes


def slow_selection(scores, boxes, cfg):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    order = order[: cfg.nms_pre] if cfg.nms_pre > 0 else order
    kept = []
    for i in order:
        x1, y1, x2, y2 = boxes[i]
        if min(x2 - x1, y2 - y1) <= cfg.min_bbox_size:
            continue
        if all(iou(boxes[i], boxes[j]) <= cfg.nms.iou_threshold for j in kept):
            kept.append(i)
    return kept[: cfg.max_per_img]


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(nms_pre=-1),
        dict(nms_pre=40),
        dict(max_per_img=5),
        dict(min_bbox_size=12),
        dict(min_bbox_size=1000),
    ],
)
def test_selected_anchors_are_those_of_a_slow_loop(options):
    cfg = proposal_cfg(**options)
    scores, boxes = draw(100)
    kept = select_anchors(scores, boxes, cfg)
    assert kept.tolist() == slow_selection(
        scores.tolist(), boxes.tolist(), cfg
    )
    assert bool(len(kept)) == (cfg.min_bbox_size < 1000)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('number', [0, 1, 2, 20, 70, 600])
def test_any_number_of_anchors_is_selected_as_a_slow_loop_does(number, seed):
    cfg = proposal_cfg(nms_pre=-1, max_per_img=30)
    scores, boxes = draw(number, seed)
    kept = select_anchors(scores, boxes, cfg).tolist()
    assert kept == slow_selection(scores.tolist(), boxes.tolist(), cfg)
    # up to 20, fewer than are asked for; of 600, more than enough
    assert (len(kept) == 30) == (number == 600)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(), [3, 1, 4]),
        (dict(max_per_img=2), [3, 1]),
        (dict(max_per_img=0), []),
        (dict(nms_pre=2), [3]),  # 3 and 0, before small ones are dropped
        (dict(nms_pre=3), [3, 1]),
        (dict(min_bbox_size=9.9), [3, 1, 4]),
        (dict(min_bbox_size=10), [1, 4]),  # exactly as broad is dropped
        (dict(min_bbox_size=0), [3, 0, 1, 4]),
        (dict(nms=dict(iou_threshold=0.95)), [3, 1, 2, 4]),
    ],
    ids=str,
)
def test_selected_anchors_by_hand(options, expected):
    boxes = torch.tensor(
        [
            [90.0, 0, 91, 20],  # narrow
            [30.0, 0, 50, 40],
            [31.0, 0, 51, 40],  # as the one before, and as good
            [0.0, 0, 10, 20],
            [60.0, 0, 80, 40],
        ]
    )
    scores = torch.tensor([0.8, 0.5, 0.5, 0.9, 0.5])
    kept = select_anchors(scores, boxes, proposal_cfg(**options))
    assert kept.tolist() == expected


def test_without_a_least_size_all_that_have_an_area_are_selected():
    cfg = proposal_cfg()
    del cfg.min_bbox_size
    boxes = torch.tensor(
        [[0.0, 0, 9, 0], [20, 0, 20, 9], [40, 0, 40.5, 0.5], [60, 0, 69, 9]]
    )
    assert select_anchors(torch.ones(4), boxes, cfg).tolist() == [2, 3]


# --- negatives on other people


def test_other_people_take_the_place_of_random_negatives():
    anchors = torch.tensor(
        [
            [0.0, 0, 10, 20],  # on the query's person
            [50.0, 0, 60, 20],  # on someone else
            [50.0, 1, 60, 21],  # on someone else
            [50.0, 15, 60, 35],  # near someone else
            [80.0, 0, 90, 20],
            [0.0, 50, 10, 70],
        ]
    )
    people = anchors[[0, 1]]
    assigned = torch.tensor([1, 0, 0, 0, 0, 0])
    drawn = torch.tensor([5, 2, 4])
    for seed in range(5):
        torch.manual_seed(seed)
        first = others_first(assigned, anchors, people, drawn).tolist()
        assert set(first[:2]) == {1, 2}
        assert first[2:] == [5]
    assert others_first(assigned, anchors, people, drawn[:1])[0] in (1, 2)
    # not a negative: it lies on the query's person, too
    assigned[2] = -1
    first = others_first(assigned, anchors, people, drawn).tolist()
    assert first == [1, 5, 2]


@pytest.mark.parametrize('number', [0, 1, 3, 8, 30])
@pytest.mark.parametrize('seed', range(5))
def test_as_many_negatives_as_were_drawn_and_none_twice(number, seed):
    _, anchors = draw(100, seed)
    anchors[:, 2:] += 1  # all have an area
    people = anchors[:3]
    torch.manual_seed(seed)
    assigned = torch.tensor([-1, 0, 0, 1])[torch.randint(4, (100,))]
    assigned[0] = 0  # someone else has an anchor
    drawn = (assigned == 0).nonzero().flatten()
    drawn = drawn[torch.randperm(len(drawn))][:number]
    hard = {
        i
        for i, anchor in enumerate(anchors.tolist())
        if assigned[i] == 0
        and max(iou(anchor, person) for person in people.tolist()) >= 0.5
    }
    chosen = others_first(assigned, anchors, people, drawn).tolist()
    assert len(chosen) == len(set(chosen)) == number
    front = chosen[: len(hard)]
    assert hard
    assert hard.issuperset(front)
    rest = [i for i in drawn.tolist() if i not in hard]
    assert chosen[len(hard) :] == rest[: max(number - len(hard), 0)]


def test_half_of_a_person_is_enough_and_less_is_not():
    people = torch.tensor([[0.0, 0, 10, 20]])
    anchors = torch.tensor(
        [[50.0, 0, 60, 20], [0, 0, 10, 9.9], [0, 0, 10, 10]]
    )
    drawn = torch.tensor([0])
    chosen = others_first(torch.zeros(3).long(), anchors, people, drawn)
    assert chosen.tolist() == [2]


def test_which_of_the_other_people_is_taken_is_random():
    anchors = torch.tensor([[0.0, 0, 10, 20]]).repeat(4, 1)
    found = set()
    for seed in range(30):
        torch.manual_seed(seed)
        (first,) = others_first(
            torch.zeros(4).long(), anchors, anchors[:1], torch.tensor([0])
        ).tolist()
        found.add(first)
    assert found == {0, 1, 2, 3}
