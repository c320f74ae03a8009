import pytest
from PIL import Image

from mmps.datasets.errors import DatasetError
from mmps.datasets.pictures import check_file, check_size, picture_size

from .layouts import png_of


@pytest.mark.parametrize(
    ('size', 'message'),
    [
        ((1, 300), '1 x 300 pixels: nobody can be seen'),
        ((15, 15), '15 x 15 pixels'),
        ((16, 801), '16 x 801 pixels'),
        (
            (10_001, 10_000),
            'more than 100 million pixels: 10001 x 10000',
        ),
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


def test_the_size_is_that_of_the_header(tmp_path):
    assert picture_size(png_of(tmp_path / 'a.png', 3, 5000)) == (3, 5000)


@pytest.mark.parametrize('size', [(10_001, 10_000), (20_000, 20_000)])
def test_a_size_above_the_limit_is_refused(size, tmp_path):
    path = png_of(tmp_path / 'a.png', *size)
    with pytest.raises(DatasetError, match=r'a\.png: has more than 100 mill'):
        picture_size(path)


def test_no_size_without_a_header(tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(b'no image')
    with pytest.raises(DatasetError, match=r'a\.jpg: its size cannot be read'):
        picture_size(path)


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'no image',
        # OpenCV would make room for 1.2 GB
        b'#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 20000 +X 20000\n',
        b'P6 100 100 255\n' + bytes(30_000),
    ],
)
def test_what_has_no_header_of_a_known_kind_is_refused(content, tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r'a\.jpg: is no image that can be'):
        check_file(path)


@pytest.mark.parametrize('length', [1, 1 << 20, (1 << 31) - 1])
def test_a_part_of_a_png_that_the_file_does_not_hold(length, tmp_path):
    path = png_of(tmp_path / 'a.png', 60, 40)
    check_file(path)
    more = length.to_bytes(4, 'big') + b'juNk' + bytes(4)
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(DatasetError, match=r'a\.png: .*beyond the end of the'):
        check_file(path)


@pytest.mark.parametrize('kind', ['PNG', 'WEBP'])
@pytest.mark.parametrize('check', [check_file, picture_size])
def test_an_animation_is_refused(kind, check, tmp_path):
    path = tmp_path / 'a.png'
    frames = [Image.new('RGB', (60, 40), (n, n, n)) for n in (0, 99, 200)]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(DatasetError, match=r'a\.png: .* of 3 frames; save a'):
        check(path)
    frames[0].save(path, kind)
    check(path)


def test_what_cannot_be_opened_is_left_to_the_decoder(tmp_path):
    check_file(tmp_path / 'none.jpg')
    check_file(tmp_path)
