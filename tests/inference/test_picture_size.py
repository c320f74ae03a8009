import struct
import zlib

import cv2
import numpy as np
import pytest

from mmps.datasets.errors import DatasetError
from mmps.inference.picture_size import check_file, check_size


def chunk(kind, data=b''):
    """A chunk of a PNG."""
    crc = struct.pack('>I', zlib.crc32(kind + data))
    return struct.pack('>I', len(data)) + kind + data + crc


def png_of(path, width, height):
    """A PNG of a header without pixels."""
    size = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    start = b'\x89PNG\r\n\x1a\n'
    path.write_bytes(start + chunk(b'IHDR', size) + chunk(b'IDAT'))
    return path


@pytest.mark.parametrize(
    ('size', 'message'),
    [
        ((1, 300), '1 x 300 pixels: nobody can be seen'),
        ((15, 15), '15 x 15 pixels'),
        ((16, 801), '16 x 801 pixels'),
        ((10_001, 10_000), '10001 x 10000 pixels, more than 100 million'),
        ((20_000, 20_000), 'more than 100 million pixels; save it smaller'),
    ],
)
def test_by_its_header_alone_a_picture_is_refused(size, message, tmp_path):
    path = png_of(tmp_path / 'a.png', *size)
    with pytest.raises(DatasetError, match=rf'a\.png: has .*{message}'):
        check_file(path)


@pytest.mark.parametrize('size', [(16, 16), (16, 800), (10_000, 10_000)])
def test_others_are_not(size, tmp_path):
    check_size(*size, 'a')
    check_size(*size[::-1], 'a')
    check_file(png_of(tmp_path / 'a.png', *size))


def test_what_has_no_header_is_left_to_the_decoder(tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(b'no image')
    check_file(path)
    check_file(tmp_path / 'none.jpg')


def test_a_network_refuses_files_and_pixels(plain, files, tmp_path):
    thin = tmp_path / 'thin.png'
    cv2.imwrite(str(thin), np.zeros((200, 1, 3), np.uint8))
    for picture in (thin, np.zeros((200, 1, 3), np.uint8)):
        with pytest.raises(DatasetError, match='1 x 200 pixels'):
            plain.search(files[0], (30, 20, 90, 160), picture)
        with pytest.raises(DatasetError, match='1 x 200 pixels'):
            plain.search(picture, (0, 0, 1, 100), files[:1])
