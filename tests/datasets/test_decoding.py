import cv2
import numpy as np
import pytest

from mmps.datasets.decoding import read_pixels
from mmps.datasets.errors import DatasetError
from mmps.datasets.transforms import LoadScene
from mmps.visualization import canvas

from .layouts import save_image


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_pixels_are_those_of_the_loader(suffix, tmp_path):
    path = tmp_path / f'a{suffix}'
    save_image(path)
    pixels = read_pixels(path)
    loaded = LoadScene().transform(dict(img_path=str(path)))['img']
    assert (pixels.shape, pixels.dtype) == ((40, 60, 3), np.uint8)
    assert np.array_equal(pixels, loaded)
    assert np.array_equal(pixels, canvas.read(path))


@pytest.mark.parametrize('share', [0.3, 0.99])
@pytest.mark.parametrize('read', [read_pixels, canvas.read])
def test_a_jpeg_that_was_cut_short_is_refused(read, share, tmp_path):
    path = tmp_path / 'a.jpg'
    save_image(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert cv2.imread(str(path)) is not None  # the rest of it is grey
    with pytest.raises(DatasetError, match=r'a\.jpg: .*cut short'):
        read(path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r'none\.jpg: .*\(No such file'):
        read_pixels(tmp_path / 'none.jpg')
