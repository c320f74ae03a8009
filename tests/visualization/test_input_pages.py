"""What the model is fed, drawn; on a data set of six images."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmps.visualization import input_pages
from mmps.visualization.canvas import RIGHT
from mmps.visualization.input_pages import (
    ASKED,
    IGNORED,
    NOBODY,
    colour_of,
    fed_picture,
    save_input_pages,
    to_picture,
)
from tests.datasets.layouts import write_cuhk
from tests.visualization.scenes import shows

LOAD = [dict(type='LoadScene'), dict(type='ClipPeople', strict=False)]
NOTES = dict(type='LoadTrackAnnotations')
RESIZE = dict(type='Resize', scale=(120, 80), keep_ratio=True)
PACK = dict(type='PackPersonSearchInputs')
NORMALIZE = dict(
    type='Normalize', mean=[120, 110, 100], std=[50, 60, 70], to_rgb=True
)


def dataset(root, split='train', extra=()):
    order = [NOTES, RESIZE] if split == 'train' else [RESIZE, NOTES]
    return dict(
        type='CUHKSYSUDataset',
        data_root=str(root),
        split=split,
        pipeline=[*LOAD, *order, *extra, PACK],
    )


@pytest.fixture
def root(tmp_path):
    return write_cuhk(tmp_path / 'data')


def test_normalisation_is_undone(root):
    plain = DATASETS.build(dataset(root))
    normal = DATASETS.build(dataset(root, extra=[NORMALIZE]))
    assert normal[0]['inputs'].is_floating_point()
    expected = plain[0]['inputs'].permute(1, 2, 0).numpy()
    got = to_picture(normal[0], normal.pipeline.transforms)
    assert got.dtype == np.uint8
    np.testing.assert_allclose(got.astype(int), expected, atol=1)
    same = to_picture(plain[0], plain.pipeline.transforms)
    np.testing.assert_array_equal(same, expected)


def test_training_shows_identities_and_people_without(root):
    data = DATASETS.build(dataset(root))
    names = [data.get_data_info(i)['img_name'] for i in range(len(data))]
    picture = fed_picture(data, names.index('s1.jpg'))
    # the box 1 2 10 20 of a 60 x 40 image, p1, row 0
    assert shows(picture, colour_of(0))
    assert shows(picture, NOBODY)
    assert not shows(picture, ASKED)
    _, columns = np.nonzero((picture == NOBODY).all(axis=2))
    left = columns.min() / picture.shape[1]
    assert left == pytest.approx(20 / 60, abs=0.02)


def test_boxes_of_a_test_are_brought_to_the_input(root):
    data = DATASETS.build(dataset(root, 'test'))
    number = {data.get_data_info(i)['img_name']: i for i in range(len(data))}
    picture = fed_picture(data, number['s11.jpg'])
    _, columns = np.nonzero((picture == ASKED).all(axis=2))
    # the query 25 8 11 22 of a 60 x 40 image
    assert columns.min() / picture.shape[1] == pytest.approx(25 / 60, abs=0.02)
    assert columns.max() / picture.shape[1] == pytest.approx(36 / 60, abs=0.1)


def test_a_pair_is_shown_side_by_side(root):
    data = DATASETS.build(
        dict(type='QueryGalleryPairs', dataset=dataset(root))
    )
    picture = fed_picture(data, 0)
    half = picture.shape[1] // 2
    assert shows(picture[:, :half], RIGHT)
    assert shows(picture[:, half:], RIGHT)


def test_ignored_boxes_are_dashed(root):
    data = DATASETS.build(dataset(root))
    item = data[0]
    sample: DetDataSample = item['data_samples']
    sample.ignored_instances = InstanceData(
        bboxes=torch.tensor([[60.0, 20, 110, 70]])
    )
    assert shows(input_pages._scene(item, data, ''), IGNORED)
    del sample.ignored_instances
    assert not shows(input_pages._scene(item, data, ''), IGNORED)


def test_the_seed_chooses_the_items(root, tmp_path):
    data = DATASETS.build(dataset(root))

    def names(seed, folder):
        out = tmp_path / folder
        return [
            file.name
            for file in save_input_pages(
                data, out, title='t', num=2, seed=seed
            )
        ]

    assert names(1, 'a') == names(1, 'b')
    first = [cv2.imread(str(f)) for f in sorted((tmp_path / 'a').glob('*g'))]
    again = [cv2.imread(str(f)) for f in sorted((tmp_path / 'b').glob('*g'))]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    chosen = {tuple(names(seed, 'c')) for seed in range(8)}
    assert len(chosen) > 1
    page = (tmp_path / 'a/index.html').read_text()
    assert f'2 of {len(data)} items, seed 1' in page
    assert len(names(1, 'd')) == 2
    files = save_input_pages(data, tmp_path / 'e', title='t', num=100)
    assert len(files) == len(data)


def test_neighbours_have_different_colours():
    colours = [colour_of(number) for number in range(12)]
    assert len(set(colours)) == 12
    assert NOBODY not in colours
