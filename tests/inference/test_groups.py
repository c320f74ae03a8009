"""Groups in time, against a walk over every second."""

import numpy as np
import pytest

from mmps.inference import Group, Match, Source, best_groups, group_matches

BOX = (0.0, 0, 10, 20)


def frame(number, similarity, video='a.mp4', rate=10):
    source = Source(video, number, number / rate)
    return Match(source, number, BOX, similarity, 0.9)


def image(name, similarity):
    return Match(Source(name), 0, BOX, similarity, 0.9)


def ranking(*matches):
    return sorted(matches, key=lambda match: -match.similarity)


def frames_of(groups):
    return [[m.source.frame for m in group.matches] for group in groups]


def test_one_walk_past_a_camera_is_one_group():
    found = ranking(*(frame(n, 0.5 + n / 100) for n in (3, 4, 5, 30, 31)))
    later, first = group_matches(found, 0.5)
    assert frames_of([first, later]) == [[3, 4, 5], [30, 31]]
    assert (first.begin, first.end) == (0.3, 0.5)
    assert (later.begin, later.end) == (3.0, 3.1)
    assert later.best == found[0]
    assert first.best.source.frame == 5


def test_of_a_frame_the_most_similar_counts():
    found = ranking(frame(3, 0.9), frame(3, 0.8), frame(4, 0.1))
    (group,) = group_matches(found, 1)
    assert group.matches == (found[0], found[2])


def test_a_gap_of_exactly_so_many_seconds_is_none():
    found = ranking(frame(0, 0.9), frame(5, 0.8))
    assert len(group_matches(found, 0.5)) == 1
    assert len(group_matches(found, 0.499)) == 2


def test_images_and_other_videos_stay_apart():
    found = ranking(
        *(frame(1, 0.9), frame(1, 0.7, 'b.mp4'), frame(2, 0.6)),
        *(image('x.jpg', 0.8), image('x.jpg', 0.5)),
    )
    groups = group_matches(found, 9)
    assert [g.best.similarity for g in groups] == [0.9, 0.8, 0.7, 0.5]
    assert [len(g.matches) for g in groups] == [2, 1, 1, 1]
    assert groups[1].begin is groups[1].end is None
    assert group_matches([], 1) == []


@pytest.mark.parametrize('seed', range(5))
def test_groups_are_what_a_walk_over_the_frames_finds(seed):
    rng = np.random.default_rng(seed)
    numbers = rng.choice(60, 25, replace=False).tolist()
    found = ranking(*(frame(n, float(rng.random())) for n in numbers))
    expected, last = [], None
    for n in range(60):
        if n in numbers:
            if last is None or n - last > 4:
                expected.append([])
            expected[-1].append(n)
            last = n
    groups = group_matches(found, 0.45)
    assert sorted(frames_of(groups)) == expected
    best = [group.best.similarity for group in groups]
    assert best == sorted(best, reverse=True)
    for group in groups:
        assert group.best.similarity == max(m.similarity for m in group[0])


def test_strangers_do_not_fill_the_gaps():
    seen = [frame(n, 0.9 - n / 1000) for n in (*range(5), *range(40, 45))]
    strangers = [frame(n, 0.3) for n in range(5, 40)]
    found = ranking(*seen, *strangers, image('x.jpg', 0.1))
    groups = best_groups(found, 1, 10, 0.8)
    assert frames_of(groups)[:2] == [list(range(5)), list(range(40, 45))]
    assert groups[2].best.source.image == 'x.jpg'  # images are never cut
    assert len(best_groups(found, 1, 2, 0.8)) == 2


@pytest.mark.parametrize('threshold', [None, 0.95])
def test_without_a_match_the_best_of_the_ranking_count(threshold):
    found = ranking(*(frame(10 * n, 0.9 - n / 1000) for n in range(30)))
    groups = best_groups(found, 0.5, 4, threshold)
    assert frames_of(groups) == [[0], [10], [20], [30]]
    near = best_groups(found, 1.5, 4, threshold)
    assert frames_of(near) == [[10 * n for n in range(20)]]


def test_a_gap_must_be_positive():
    with pytest.raises(ValueError, match='above 0 seconds, got 0'):
        group_matches([], 0)
    assert Group((frame(1, 0.5),)).best.similarity == 0.5
