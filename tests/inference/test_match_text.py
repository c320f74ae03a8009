import json

import numpy as np
import pytest

from mmps.inference import Group, Match, Source
from mmps.inference.match_text import (
    as_json,
    clock,
    groups_as_json,
    list_groups,
    list_matches,
    list_people,
    other_files,
    span,
)

IMAGE = Match(Source('a/b.jpg'), 3, (1.26, 2, 30, 60.5), 0.98765, 0.5)
FRAME = Match(Source('c.mp4', 75, 62.51), 0, (5, 6, 7, 8), -0.25, 1.0)
PIXELS = Match(Source(), 4, (5, 6, 7, 8), 0.1, 1.0)


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (None, ''),
        (0, '0:00.0'),
        (9.96, '0:10.0'),
        (59.96, '1:00.0'),
        (62.51, '1:02.5'),
        (3599.97, '1:00:00.0'),
        (7325.5, '2:02:05.5'),
    ],
)
def test_times_are_those_of_a_clock(seconds, text):
    assert clock(seconds) == text


def cells(text):
    return [
        [
            cell.strip()
            for cell in line.strip('│┃').replace('┃', '│').split('│')
        ]
        for line in text.splitlines()
        if line[0] in '│┃'
    ]


def test_a_table_has_a_line_for_each_match():
    head, *rows = cells(list_matches([IMAGE, PIXELS]))
    assert ' '.join(head) == 'rank similarity score x1 y1 x2 y2 image'
    assert rows == [
        ['1', '0.988', '0.50', '1', '2', '30', '60', 'a/b.jpg'],
        ['2', '0.100', '1.00', '5', '6', '7', '8', 'pixels 4'],
    ]


def test_a_video_adds_time_and_frame():
    head, first, second = cells(list_matches([FRAME, IMAGE]))
    assert head[-3:] == ['time', 'frame', 'image']
    assert first[-3:] == ['1:02.5', '75', 'c.mp4']
    assert second[-3:] == ['', '', 'a/b.jpg']


LATER = FRAME._replace(source=Source('c.mp4', 80, 64.0), similarity=0.5)


def test_a_line_of_groups_says_from_when_to_when():
    group = Group((FRAME, LATER))
    head, first, second = cells(list_groups([group, Group((IMAGE,))]))
    names = ['from', 'to', 'frames', 'time', 'frame', 'image']
    assert head[-6:] == names
    times = ['1:02.5', '1:04.0', '2', '1:04.0', '80', 'c.mp4']
    assert first[-6:] == times
    assert first[1] == '0.500'
    assert second[-6:] == ['', '', '', '', '', 'a/b.jpg']
    assert list_groups([]) == 'nobody was found'


def test_a_span_is_two_times_or_one_or_none():
    assert span(Group((FRAME, LATER))) == '1:02.5 - 1:04.0'
    assert span(Group((FRAME,))) == '1:02.5'
    assert span(Group((IMAGE,))) == ''


def test_json_of_groups_has_their_matches():
    (found,) = json.loads(json.dumps(groups_as_json([Group((FRAME, LATER))])))
    assert (found['from'], found['to'], found['count']) == (62.51, 64.0, 2)
    both = json.loads(json.dumps(as_json([FRAME, LATER])))
    assert found['matches'] == both
    assert found['best'] == both[1]


def test_people_are_numbered():
    boxes = np.array([[1.2, 2, 3, 4], [5, 6, 7, 8.6]])
    head, *rows = cells(list_people(boxes, np.array([0.5, 0.25])))
    assert head == ['person', 'score', 'x1', 'y1', 'x2', 'y2']
    assert rows == [
        ['1', '0.50', '1', '2', '3', '4'],
        ['2', '0.25', '5', '6', '7', '9'],
    ]


@pytest.mark.parametrize(
    ('num', 'text'),
    [
        (1, '1 file is neither an image nor a video: 0.txt'),
        (2, '2 files are neither an image nor a video: 0.txt, 1.txt'),
        (9, '4.txt, and 4 more'),
    ],
)
def test_other_files_are_counted_and_named(num, text):
    found = other_files([f'{n}.txt' for n in range(num)])
    assert found.endswith(text)


def test_a_path_stays_in_one_piece(monkeypatch):
    monkeypatch.setenv('COLUMNS', '60')
    path = '/'.join(['folder'] * 60) + '/clip [bold].mp4'
    long = FRAME._replace(source=FRAME.source._replace(image=path))
    _, first, second = cells(list_matches([IMAGE, long]))
    assert first[-1] == 'a/b.jpg'
    assert second[-3:] == ['1:02.5', '75', path]


def test_nobody_is_said():
    assert list_matches([]) == 'nobody was found'


def test_json_has_every_field_unrounded():
    source = FRAME.source._replace(camera='gate', time=1e9)
    match = FRAME._replace(source=source)
    (found,) = json.loads(json.dumps(as_json([match])))
    assert found == dict(
        image='c.mp4',
        position=0,
        box=[5, 6, 7, 8],
        similarity=-0.25,
        score=1.0,
        frame=75,
        timestamp=62.51,
        camera='gate',
        time=1e9,
    )
