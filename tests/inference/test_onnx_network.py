"""Pictures go into an exported network as a test pipeline makes them.

What needs an exported network: tests/export/test_export.py.
"""

import cv2
import numpy as np
import pytest
from mmdet.datasets.transforms import Resize as StockResize

from mmps.datasets import FloatResize, LoadScene
from mmps.datasets.errors import DatasetError
from mmps.errors import InputError
from mmps.inference.onnx_metadata import Resize
from mmps.inference.onnx_network import (
    OnnxNetwork,
    is_exported,
    scale,
    scaled_size,
)
from mmps.inference.scenes import as_scene

SIZES = [(480, 640), (1080, 1920), (333, 222), (97, 801), (60, 45), (240, 320)]


@pytest.mark.parametrize(
    ('rounding', 'kind'), [('nearest', StockResize), ('down', FloatResize)]
)
@pytest.mark.parametrize('size', SIZES)
def test_pictures_are_scaled_as_by_the_pipeline(rounding, kind, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    step = kind(scale=(320, 240), keep_ratio=True)
    expected = step.transform(dict(img=pixels, img_shape=size))
    rule = Resize(320, 240, rounding)
    found = scale(pixels, rule)
    assert scaled_size(*size, rule) == found.shape[:2]
    assert found.dtype == expected['img'].dtype
    np.testing.assert_array_equal(found, expected['img'])


@pytest.mark.parametrize(
    'name', ['grey.png', 'alpha.png', 'deep.png', 'a.jpg']
)
def test_files_are_read_as_by_the_pipeline(name, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    content = {
        'grey.png': pixels[..., 0],
        'alpha.png': pixels,
        'deep.png': pixels[..., :3].astype(np.uint16) * 257,
        'a.jpg': pixels[..., :3],
    }[name]
    path = str(tmp_path / name)
    cv2.imwrite(path, content)
    expected = LoadScene().transform(dict(img_path=path))['img']
    found = OnnxNetwork.read(None, as_scene(path))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('content', [b'', b'\xff\xd8\xff no picture'])
def test_a_file_that_is_no_image_is_named(content, tmp_path):
    path = tmp_path / 'cut.jpg'
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r'cut\.jpg: is no image'):
        OnnxNetwork.read(None, as_scene(path))


def test_a_picture_of_a_wrong_size_is_refused():
    with pytest.raises(DatasetError, match='1 x 200 pixels'):
        OnnxNetwork.read(None, as_scene(np.zeros((200, 1, 3), np.uint8)))


def test_exported_networks_are_known_by_their_place(tmp_path):
    assert is_exported(tmp_path)
    assert is_exported('somewhere/single.onnx')
    for model in ('zoo://oim_r18', 'oim_r50', 'configs/oim/oim_r50.py'):
        assert not is_exported(model)
    with pytest.raises(InputError, match=r'no\.onnx: cannot be read'):
        OnnxNetwork(tmp_path / 'no.onnx')
