import json

import pytest

from mmps.inference import Match, Source
from mmps.inference.match_text import as_json, clock, list_matches

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
    (found,) = json.loads(json.dumps(as_json([FRAME])))
    assert found == dict(
        image='c.mp4',
        position=0,
        box=[5, 6, 7, 8],
        similarity=-0.25,
        score=1.0,
        frame=75,
        timestamp=62.51,
    )
