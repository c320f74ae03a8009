import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

from mmps.datasets.errors import DatasetError
from mmps.datasets.transforms import (
    ClipPeople,
    LoadScene,
    PackPersonSearchInputs,
    clip,
)

from .layouts import png_of, save_image


def build(*names):
    steps = [
        TRANSFORMS.build(n if isinstance(n, dict) else dict(type=n))
        for n in names
    ]

    def run(results):
        for step in steps:
            results = step(results)
        return results

    return run


def person(*bbox, identity=-1):
    return dict(
        bbox=list(bbox), bbox_label=0, ignore_flag=0, instance_id=identity
    )


# --- FloatResize


@pytest.mark.parametrize(
    ('shape', 'size'),
    [
        ((32, 43), (90, 120)),  # 120.9: Resize makes it 121
        ((43, 32), (120, 90)),
        ((31, 100), (46, 150)),  # 46.5; the longer side counts
        ((108, 60), (150, 83)),
        ((90, 100), (90, 100)),
    ],
)
def test_sides_are_rounded_down_and_pixels_are_not(shape, size):
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
    results = build(dict(type='FloatResize', scale=(150, 90)))(
        dict(img=image.copy(), img_shape=shape)
    )
    assert results['img'].dtype == np.float32
    assert results['img_shape'] == size
    assert results['scale_factor'] == (size[1] / shape[1], size[0] / shape[0])
    # in float64, corners not aligned, nothing smoothed beforehand
    expected = torch.nn.functional.interpolate(
        torch.tensor(image).permute(2, 0, 1)[None].double(),
        size=size,
        mode='bilinear',
        align_corners=False,
    )[0].permute(1, 2, 0)
    np.testing.assert_allclose(results['img'], expected, rtol=0, atol=1e-3)


def test_sides_of_any_ratio_are_refused():
    with pytest.raises(ValueError, match='keeps the ratio'):
        build(dict(type='FloatResize', scale=(150, 90), keep_ratio=False))


# --- LoadScene


def test_an_image_keeps_its_pixels_and_its_size(tmp_path):
    path = tmp_path / 'a.png'
    save_image(path, width=30, height=20)
    results = LoadScene().transform(dict(img_path=str(path)))
    assert np.array_equal(results['img'], cv2.imread(str(path)))
    assert results['ori_shape'] == results['img_shape'] == (20, 30)


def test_the_orientation_tag_is_ignored(tmp_path):
    path = tmp_path / 'a.jpg'
    save_image(path, width=30, height=20)
    content = path.read_bytes()
    exif = (  # one entry: orientation (0x112) = 6, turned by 90 degrees
        b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0'
        b'\0\0\0\0'
    )
    segment = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
    path.write_bytes(content[:2] + segment + content[2:])
    assert cv2.imread(str(path)).shape[:2] == (30, 20)  # the tag is valid
    results = LoadScene().transform(dict(img_path=str(path)))
    assert results['ori_shape'] == (20, 30)


def damage(path, how):
    content = path.read_bytes()
    if how == 'missing':
        path.unlink()
    elif how == 'folder':
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(
            {
                'empty': b'',
                'half': content[: len(content) // 2],
                'text': b'<html>not found</html>',
            }[how]
        )


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('how', ['missing', 'empty', 'half', 'text', 'folder'])
def test_every_failure_names_the_file(tmp_path, how, backend):
    path = tmp_path / 'bad.jpg'
    save_image(path)
    damage(path, how)
    with pytest.raises(DatasetError, match=r'bad\.jpg: ') as caught:
        LoadScene(imdecode_backend=backend).transform(dict(img_path=str(path)))
    assert caught.value.file == str(path)
    assert 'OpenCV(' not in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('size', 'message'),
    [
        ((10_001, 10_000), 'has more than 100 million pixels: 10001 x'),
        ((20_000, 20_000), 'has more than 100 million pixels'),
        ((3000, 1), 'has 3000 x 1 pixels'),
    ],
)
def test_a_size_that_cannot_be_used_is_not_decoded(size, message, tmp_path):
    path = png_of(tmp_path / 'a.png', *size)
    with pytest.raises(DatasetError, match=rf'a\.png: {message}'):
        LoadScene().transform(dict(img_path=str(path)))


def test_the_error_survives_its_way_out_of_a_worker():
    error = DatasetError('a.jpg', 'is empty', 'copy it again')
    assert str(error) == 'a.jpg: is empty; copy it again'
    again = DatasetError(f'Caught in worker 0: {error}')
    assert str(again).endswith('a.jpg: is empty; copy it again')


# --- ClipPeople


@pytest.mark.parametrize(
    ('bbox', 'expected'),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([-5, -5, 5, 5], [0, 0, 5, 5]),
        ([20, 10, 45, 25], [20, 10, 40, 20]),
        ([0, 0, 40, 20], [0, 0, 40, 20]),
        ([40, 0, 50, 20], None),  # touches the right border only
        ([-9, 0, 0, 20], None),
        ([0, 20, 40, 30], None),
        ([5, 5, 5, 9], None),
        ([9, 5, 5, 9], None),
        ([0, 0, float('inf'), 9], None),
        ([float('nan'), 0, 3, 9], None),
    ],
)
def test_clip(bbox, expected):
    assert clip(bbox, height=20, width=40) == expected


def scene(instances, **more):
    return dict(
        img_path='s1.jpg', ori_shape=(20, 40), instances=instances, **more
    )


def test_boxes_partly_outside_are_clipped_people_and_queries():
    results = ClipPeople().transform(
        scene([person(30, 1, 50, 9)], query_bboxes=[[-1, 1, 5, 30]])
    )
    assert results['instances'] == [person(30, 1, 40, 9)]
    assert results['query_bboxes'] == [[0, 1, 5, 20]]


def test_a_box_outside_names_image_box_and_size():
    with pytest.raises(
        DatasetError, match=r's1\.jpg: the box \[50, 1, 60, 9\].*person.*40 x'
    ):
        ClipPeople().transform(scene([person(50, 1, 60, 9)]))


def test_not_strict_drops_a_box_with_its_identity():
    people = [person(50, 1, 60, 9, identity=7), person(1, 1, 9, 9, identity=8)]
    results = ClipPeople(strict=False).transform(scene(people))
    assert results['instances'] == people[1:]


def test_a_query_outside_is_always_an_error():
    results = scene([], query_bboxes=[[1, 1, 5, 5], [50, 1, 60, 9]])
    with pytest.raises(DatasetError, match=r'box \[50, 1, 60, 9\].*query 1 '):
        ClipPeople(strict=False).transform(results)
    results['query_ids'] = [7, 40]
    with pytest.raises(DatasetError, match=r's1\.jpg: .*of query 40 .*40 x'):
        ClipPeople().transform(results)


# --- PackPersonSearchInputs


def loaded(boxes, ids, **more):
    return dict(
        img_path='s1.jpg',
        img=np.zeros((20, 40, 3), np.uint8),
        gt_bboxes=HorizontalBoxes(np.array(boxes, np.float32).reshape(-1, 4)),
        gt_bboxes_labels=np.zeros(len(boxes), np.int64),
        gt_instances_ids=np.array(ids, np.int32),
        gt_ignore_flags=np.zeros(len(boxes), bool),
        **more,
    )


def test_identities_and_boxes_are_packed_in_step():
    boxes = [[1, 2, 3, 4], [5, 6, 7, 8]]
    packed = PackPersonSearchInputs().transform(
        loaded(boxes, [7, -1], img_id=3, img_name='s1.jpg')
    )
    people = packed['data_samples'].gt_instances
    assert people.instances_ids.tolist() == [7, -1]
    assert people.instances_ids.dtype == torch.int64
    assert type(people.bboxes) is torch.Tensor
    assert people.bboxes.tolist() == boxes
    assert packed['data_samples'].img_name == 's1.jpg'
    assert packed['data_samples'].img_id == 3
    assert packed['inputs'].shape == (3, 20, 40)


def test_identities_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r's1\.jpg: 2 identities for 1 boxes'):
        PackPersonSearchInputs().transform(loaded([[1, 2, 3, 4]], [7, 8]))


def test_stock_filter_annotations_is_caught(tmp_path):
    # it drops the tiny box and keeps its identity
    save_image(tmp_path / 'a.png')
    results = dict(
        img_path=str(tmp_path / 'a.png'),
        instances=[
            person(1, 1, 2, 2, identity=7),
            person(9, 9, 30, 30, identity=8),
        ],
    )
    pipeline = build(
        'LoadScene',
        'LoadTrackAnnotations',
        dict(type='FilterAnnotations', min_gt_bbox_wh=(5, 5)),
        'PackPersonSearchInputs',
    )
    with pytest.raises(ValueError, match='stock FilterAnnotations does'):
        pipeline(results)


def test_a_pipeline_without_identities_is_refused():
    results = loaded([[1, 2, 3, 4]], [7])
    del results['gt_instances_ids']
    with pytest.raises(ValueError, match='lacks LoadTrackAnnotations'):
        PackPersonSearchInputs().transform(results)


def test_an_image_alone_is_packed_for_inference():
    packed = PackPersonSearchInputs().transform(
        dict(img_path='a.jpg', img=np.zeros((20, 40, 3), np.uint8))
    )
    assert packed['inputs'].shape == (3, 20, 40)


@pytest.mark.parametrize('number', [0, 1, 2])
def test_queries_are_packed(number):
    bboxes = [[1, 2, 3, 4.5], [5, 6, 7, 8]][:number]
    packed = PackPersonSearchInputs().transform(
        loaded([], [], query_bboxes=bboxes, query_ids=[40, 41][:number])
    )
    queries = packed['data_samples'].query_instances
    assert queries.bboxes.shape == (number, 4)
    assert queries.bboxes.dtype == torch.float32
    assert queries.bboxes.tolist() == bboxes
    assert queries.query_ids.tolist() == [40, 41][:number]
    assert queries.query_ids.dtype == torch.int64


def test_a_flipped_image_with_queries_is_refused():
    results = loaded(
        [], [], query_bboxes=[[1, 2, 3, 4]], query_ids=[0], flip=True
    )
    with pytest.raises(ValueError, match='leave RandomFlip out'):
        PackPersonSearchInputs().transform(results)


@pytest.mark.parametrize('boxes', [[], [[1, 2, 9, 10], [20, 5, 30, 18]]])
def test_a_flip_moves_boxes_and_keeps_identities(tmp_path, boxes):
    save_image(tmp_path / 'a.png', width=40, height=20)
    results = dict(
        img_path=str(tmp_path / 'a.png'),
        instances=[person(*b, identity=i) for i, b in enumerate(boxes)],
    )
    packed = build(
        'LoadScene',
        'ClipPeople',
        'LoadTrackAnnotations',
        dict(type='Resize', scale=(80, 40), keep_ratio=True),
        dict(type='RandomFlip', prob=1.0),
        'PackPersonSearchInputs',
    )(results)
    people = packed['data_samples'].gt_instances
    expected = [
        [80 - 2 * x2, 2 * y1, 80 - 2 * x1, 2 * y2] for x1, y1, x2, y2 in boxes
    ]
    assert people.bboxes.tolist() == expected
    assert people.instances_ids.tolist() == list(range(len(boxes)))
