import cv2
import numpy as np
import pytest

from mmps.visualization import save_people
from mmps.visualization.canvas import RIGHT

BOXES = [[10.0, 20, 40, 100], [100, 30, 140, 110]]


@pytest.mark.parametrize(('width', 'scale'), [(160, 8), (1600, 1)])
def test_everybody_is_framed_and_numbered(width, scale, tmp_path):
    out = tmp_path / 'people.png'
    save_people(np.full((width * 3 // 4, width, 3), 90, np.uint8), BOXES, out)
    found = cv2.imread(str(out))
    assert found.shape[1] == scale * width
    for x1, y1, x2, y2 in (np.array(BOXES) * scale).astype(int):
        middle = (y1 + y2) // 2
        assert (found[middle, [x1, x2]] == RIGHT).all()
        assert (found[y1 + 5 : y2 - 5, (x1 + x2) // 2] == 90).all()
        plate = found[max(0, y1 - 14) : y1, x1 : x1 + 12]
        assert (plate == 255).all(axis=2).any()  # a white number


def test_a_picture_of_nobody_stays_as_it_is(tmp_path):
    save_people(np.full((960, 1280, 3), 90, np.uint8), [], tmp_path / 'a.png')
    assert (cv2.imread(str(tmp_path / 'a.png')) == 90).all()
