import cv2
import numpy as np
import pytest

from mmps.synthetic.walk import Walk, write_query, write_walk

SIZE = (160, 120)


def frames(path):
    video = cv2.VideoCapture(str(path))
    found = []
    while True:
        fine, pixels = video.read()
        if not fine:
            return found
        found.append(pixels.astype(int))


def centre(frame, empty):
    """Where a frame differs from the place without people."""
    changed = np.abs(frame - empty).max(axis=2) > 60
    return changed.nonzero()[1].mean() if changed.sum() > 30 else None


def test_a_person_walks_from_side_to_side(tmp_path):
    path = tmp_path / 'walk.avi'
    walks = [Walk(0, 0.4, 0.8, 0.9, True), Walk(1, 1.6, 0.8, 0.9, False)]
    write_walk(path, walks=walks, seconds=2.6, rate=5, size=SIZE, codec='FFV1')
    first, *rest = frames(path)
    assert len(rest) == 12
    assert first.shape == (120, 160, 3)
    places = [centre(frame, first) for frame in rest]
    assert places[6] is None  # 1.4 s: both are away
    right, left = places[1:5], places[7:11]
    assert right == sorted(right)
    assert left == sorted(left, reverse=True)
    assert right[0] < 60 < 100 < right[-1]


def test_the_query_is_where_it_says(tmp_path):
    path = tmp_path / 'query.png'
    x1, y1, x2, y2 = write_query(path)
    height, width = cv2.imread(str(path)).shape[:2]
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert y2 - y1 > 1.5 * (x2 - x1)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match=r'none.walk\.mp4 cannot be written'):
        write_walk(tmp_path / 'none/walk.mp4', seconds=0.1, size=SIZE)
