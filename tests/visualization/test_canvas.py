import cv2
import numpy as np
import pytest

from mmps.visualization.canvas import (
    BORDER,
    MARGIN,
    RIGHT,
    heading,
    label,
    read,
    save,
    stack,
    tile,
)


def test_lines_of_any_width_are_stacked_on_white():
    picture = stack(
        [np.zeros((2, 3, 3), np.uint8), np.zeros((1, 5, 3), np.uint8)]
    )
    assert picture.shape == (3, 5, 3)
    assert (picture[:2, 3:] == 255).all()
    assert not picture[:2, :3].any()
    assert not picture[2].any()


@pytest.mark.parametrize('bbox', [[10, 20, 30, 60], [-9, -9, 4, 9]])
def test_a_tile_holds_its_box_in_the_middle(tmp_path, bbox):
    picture = np.full((90, 120, 3), 200, np.uint8)
    x1, y1, x2, y2 = np.clip(bbox, 0, None)
    picture[y1:y2, x1:x2] = (255, 0, 0)
    save(picture, tmp_path / 'a.png')
    drawn = tile(tmp_path / 'a.png', np.array(bbox), RIGHT, '0.50')
    assert tuple(drawn[4, drawn.shape[1] // 2]) == RIGHT  # frame
    inside = drawn[MARGIN:-MARGIN, MARGIN:-MARGIN]
    wanted = (inside == (255, 0, 0)).all(axis=2)
    assert wanted.any()
    if min(bbox) >= 0:
        columns = np.flatnonzero(wanted.any(axis=0))
        middle = inside.shape[1] / 2
        assert abs(columns.mean() - middle) < 2 + BORDER


def test_a_label_stays_inside_the_picture():
    for at in ((-50, -50), (95, 60), (500, 500)):
        picture = np.full((60, 100, 3), 255, np.uint8)
        label(picture, 'name', at, (0, 0, 200))
        rows, columns = np.nonzero((picture == (0, 0, 200)).all(axis=2))
        assert rows.max() - rows.min() == 14 or rows.max() == 59
        assert columns.max() - columns.min() > 20


def test_letters_that_the_font_lacks_do_not_stop_a_picture():
    assert heading('Zoë 名', 10).shape[0] == heading('a', 10).shape[0]


def test_pixels_are_read_as_stored_whatever_the_camera_says(tmp_path):
    path = tmp_path / 'turned.jpg'
    picture = np.full((20, 40, 3), 99, np.uint8)
    _, jpeg = cv2.imencode('.jpg', picture)
    exif = (
        b'\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03'
        b'\0\0\0\x01\0\x06\0\0\0\0\0\0'
    )
    data = jpeg.tobytes()
    path.write_bytes(data[:2] + exif + data[2:])
    assert cv2.imread(str(path)).shape == (40, 20, 3)  # it would be turned
    assert read(path).shape == (20, 40, 3)
