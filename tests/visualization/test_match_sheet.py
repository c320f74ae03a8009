import cv2
import numpy as np
import pytest

from mmps.inference import Match, Source
from mmps.visualization.canvas import QUERY
from mmps.visualization.match_sheet import (
    COLUMNS,
    MATCH,
    blurred_outside,
    save_match_sheet,
)

BOX = (100, 60, 140, 160)


def plain(value):
    return np.full((240, 320, 3), value, np.uint8)


def noise():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)


def save(path, values, blur=False, **fields):
    matches = [
        Match(Source(f'{i}.jpg', **fields), i, BOX, 0.5, 0.9)
        for i, _ in enumerate(values)
    ]
    pictures = [plain(value) for value in values]
    query = (plain(200), BOX, 'folder/query.jpg')
    save_match_sheet(query, matches, pictures, path, blur=blur)
    return cv2.imread(str(path))


def frames(sheet, colour):
    """How many separate frames of a colour there are."""
    mask = (sheet == colour).all(axis=2).astype(np.uint8)
    *_, areas, _ = cv2.connectedComponentsWithStats(mask)
    return int((areas[1:, cv2.CC_STAT_AREA] > 1000).sum())


@pytest.mark.parametrize('num', [0, 1, COLUMNS, COLUMNS + 2])
def test_every_match_has_a_tile(num, tmp_path):
    values = [21 * (i + 1) for i in range(num)]
    sheet = save(tmp_path / 'sheet.png', values)
    assert frames(sheet, QUERY) == 1
    assert frames(sheet, MATCH) == num
    # ranks are read line by line, the query stands on the left
    height, width = sheet.shape[:2]
    assert (sheet[150, 60] == 200).all()
    seen = []
    for y in range(150, height, 304):
        row = sheet[y, 150:, 0]
        seen += [v for v in values if (row == v).sum() > 60]
    assert seen == values
    assert width < 160 * (1 + max(1, min(num, COLUMNS)))
    # nothing is cut off
    for edge in (sheet[:8], sheet[-2:], sheet[:, :8], sheet[:, -2:]):
        assert (edge == 255).all()


def test_a_video_adds_a_line(tmp_path):
    heights = [
        save(tmp_path / 'sheet.png', [10], **fields).shape[0]
        for fields in ({}, {'frame': 3, 'timestamp': 0.1})
    ]
    assert heights[1] == heights[0] + 18


def test_the_times_can_be_given(tmp_path):
    def sheet(name, **options):
        match = Match(Source('a.mp4', 3, 62.5), 0, BOX, 0.5, 0.9)
        query = (plain(200), BOX, 'q.jpg')
        path = tmp_path / name
        save_match_sheet(query, [match], [plain(10)], path, **options)
        return cv2.imread(str(path))

    usual = sheet('a.png')
    np.testing.assert_array_equal(sheet('b.png', times=['1:02.5']), usual)
    other = sheet('c.png', times=['1:02.5 - 1:09.0'])
    assert other.shape == usual.shape
    assert (other != usual).any()
    assert sheet('d.png', times=['']).shape[0] == usual.shape[0] - 18


def test_only_the_box_stays_sharp():
    picture = noise()
    blurred = blurred_outside(picture, (99.5, 60.2, 140.0, 160.7))
    inside = np.s_[60:161, 99:140]
    np.testing.assert_array_equal(blurred[inside], picture[inside])
    outside = np.ones(picture.shape[:2], bool)
    outside[inside] = False
    assert blurred[outside].std() < 10 < 50 < picture[outside].std()
    np.testing.assert_array_equal(picture, noise())


def test_a_box_over_the_border_can_be_kept():
    picture = noise()
    blurred = blurred_outside(picture, (-5, -5, 20, 30))
    np.testing.assert_array_equal(blurred[:30, :20], picture[:30, :20])
    assert blurred[40:].std() < 10


@pytest.mark.parametrize('blur', [False, True])
def test_the_sheet_blurs_when_asked(blur, tmp_path):
    path = tmp_path / 'sheet.png'
    picture = noise()
    match = Match(Source('a.jpg'), 0, BOX, 0.5, 0.9)
    query = (picture, BOX, 'q.jpg')
    save_match_sheet(query, [match], [picture], path, blur=blur)
    sheet = cv2.imread(str(path))
    left = sheet[30:250, 18:24].std()  # beside the query, inside its frame
    middle = sheet[30:250, 60:90].std()
    assert middle > 30
    assert bool(left < 10) is blur
