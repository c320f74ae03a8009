import cv2
import numpy as np
import pytest

from mmps.visualization.canvas import (
    CAPTION,
    MARGIN,
    TILE_HEIGHT,
    TILE_WIDTH,
    heading,
    label,
    read,
    save,
    shortened,
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


def inside(drawn, scale=1.0):
    start = MARGIN
    height, width = round(TILE_HEIGHT * scale), round(TILE_WIDTH * scale)
    return drawn[start : start + height, start : start + width]


def ramp(height=240, width=320):
    """Blue is x / 2, green is y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x // 2, y, 0 * x], axis=2).astype(np.uint8)


@pytest.mark.parametrize('scale', [1.0, 1.5])
def test_a_tile_shows_the_box_in_its_middle(scale):
    drawn = tile(ramp(), (100, 60, 140, 160), (9, 8, 7), 'a', scale=scale)
    shown = inside(drawn, scale)
    height, width = shown.shape[:2]
    assert (height, width) == (168 * scale, 84 * scale)
    assert shown[height // 2, width // 2, 0] == pytest.approx(120 / 2, abs=1)
    assert shown[height // 2, width // 2, 1] == pytest.approx(110, abs=1)
    # 100 pixels high, and eight percent more
    assert shown[-1, 0, 1] - shown[0, 0, 1] == pytest.approx(108, abs=2)
    assert tuple(drawn[2, 2]) == (9, 8, 7)


def test_a_window_moves_into_the_picture():
    shown = inside(tile(ramp(), (0, 0, 20, 100), (0, 0, 0), 'a'))
    assert shown[0, 0].tolist() == pytest.approx([0, 0, 0], abs=1)
    # 54 x 108 of the picture, nothing repeated at the border
    assert shown[0, -1, 0] == pytest.approx(53 / 2, abs=1)
    assert (np.diff(shown[0, :, 0].astype(int)) >= 0).all()
    assert shown[0, :, 0].max() - shown[0, :8, 0].max() > 20
    shown = inside(tile(ramp(), (300, 140, 320, 240), (0, 0, 0), 'a'))
    assert shown[-1, -1].tolist() == pytest.approx([159, 239, 0], abs=1)


def test_a_box_larger_than_the_picture_is_shown_whole():
    shown = inside(tile(ramp(60, 300), (0, 0, 300, 60), (0, 0, 0), 'a'))
    assert shown[84, 2, 0] <= 3
    assert shown[84, -3, 0] >= 146


def test_each_caption_has_its_line():
    tiles = [
        tile(ramp(), (100, 60, 140, 160), (0, 0, 0), *lines)
        for lines in ((), ('',), ('x', 'x'))
    ]
    heights = [drawn.shape[0] for drawn in tiles]
    assert np.diff(heights).tolist() == [CAPTION, CAPTION]
    first, second = tiles[2][-2 * CAPTION : -CAPTION], tiles[2][-CAPTION:]
    assert (first < 200).any()
    np.testing.assert_array_equal(first, second)
    assert (tiles[1][-CAPTION:] == 255).all()


def test_text_is_cut_in_front():
    assert shortened('short.jpg', 100) == 'short.jpg'
    cut = shortened('a long name of a picture.jpg', 100)
    assert cut.startswith('..')
    assert 'a long name of a picture.jpg'.endswith(cut[2:])
    width = cv2.getTextSize(cut, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0]
    assert 80 < width <= 100


@pytest.mark.parametrize('name', ['sheet.xyz', 'sheet', 'none/sheet.png'])
def test_a_picture_that_cannot_be_written_is_named(name, tmp_path):
    with pytest.raises(OSError, match=f'{name} cannot be written'):
        save(ramp(), tmp_path / name)


def test_a_name_in_another_encoding_is_written(tmp_path):
    path = tmp_path / 'caf\udce9.png'  # a crash of OpenCV
    save(ramp(), path)
    assert np.array_equal(read(path), ramp())


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
