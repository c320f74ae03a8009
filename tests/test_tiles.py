import cv2
import numpy as np
import pytest

from mmps.tiles import (
    BORDER,
    CAPTION,
    MARGIN,
    TILE_HEIGHT,
    TILE_WIDTH,
    read_picture,
    save_picture,
    shortened,
    tile_of,
)


def inside(tile, scale=1.0):
    start = MARGIN + BORDER
    height, width = round(TILE_HEIGHT * scale), round(TILE_WIDTH * scale)
    return tile[start : start + height, start : start + width]


def ramp(height=240, width=320):
    """Blue is x / 2, green is y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x // 2, y, 0 * x], axis=2).astype(np.uint8)


@pytest.mark.parametrize('scale', [1.0, 1.5])
def test_a_tile_shows_the_box_in_its_middle(scale):
    tile = tile_of(ramp(), (100, 60, 140, 160), (9, 8, 7), 'a', scale=scale)
    shown = inside(tile, scale)
    height, width = shown.shape[:2]
    assert (height, width) == (168 * scale, 84 * scale)
    assert shown[height // 2, width // 2, 0] == pytest.approx(120 / 2, abs=1)
    assert shown[height // 2, width // 2, 1] == pytest.approx(110, abs=1)
    # 100 pixels high, and eight percent more
    assert shown[-1, 0, 1] - shown[0, 0, 1] == pytest.approx(108, abs=2)
    assert tuple(tile[MARGIN, MARGIN]) == (9, 8, 7)


def test_a_window_moves_into_the_picture():
    shown = inside(tile_of(ramp(), (0, 0, 20, 100), (0, 0, 0), 'a'))
    assert shown[0, 0].tolist() == pytest.approx([0, 0, 0], abs=1)
    # 54 x 108 of the picture, nothing repeated at the border
    assert shown[0, -1, 0] == pytest.approx(53 / 2, abs=1)
    assert (np.diff(shown[0, :, 0].astype(int)) >= 0).all()
    assert shown[0, :, 0].max() - shown[0, :8, 0].max() > 20
    shown = inside(tile_of(ramp(), (300, 140, 320, 240), (0, 0, 0), 'a'))
    assert shown[-1, -1].tolist() == pytest.approx([159, 239, 0], abs=1)


def test_a_box_larger_than_the_picture_is_shown_whole():
    shown = inside(tile_of(ramp(60, 300), (0, 0, 300, 60), (0, 0, 0), 'a'))
    assert shown[84, 2, 0] <= 3
    assert shown[84, -3, 0] >= 146


def test_each_caption_has_its_line():
    tiles = [
        tile_of(ramp(), (100, 60, 140, 160), (0, 0, 0), *lines)
        for lines in ((), ('',), ('x', 'x'))
    ]
    heights = [tile.shape[0] for tile in tiles]
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


def test_pixels_are_read_as_they_are_stored(tmp_path):
    # the orientation of a camera (here: turned) would move every box
    path = tmp_path / 'turned.jpg'
    content = cv2.imencode('.jpg', ramp(40, 80))[1].tobytes()
    entry = b'\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00'
    tiff = b'MM\x00*\x00\x00\x00\x08\x00\x01' + entry + b'\x00\x00\x00\x00'
    exif = b'Exif\x00\x00' + tiff
    size = (len(exif) + 2).to_bytes(2, 'big')
    path.write_bytes(content[:2] + b'\xff\xe1' + size + exif + content[2:])
    assert cv2.imread(str(path)).shape == (80, 40, 3)
    assert read_picture(path).shape == (40, 80, 3)


@pytest.mark.parametrize('name', ['sheet.xyz', 'sheet', 'none/sheet.png'])
def test_a_picture_that_cannot_be_written_is_named(name, tmp_path):
    with pytest.raises(OSError, match=f'{name} cannot be written'):
        save_picture(ramp(), tmp_path / name)
