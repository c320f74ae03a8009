import copy
import pickle
import random
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmps.datasets import CUHKSYSUDataset, DatasetError, PRWDataset
from mmps.structures import UNLABELED

from .layouts import (
    NOBODY,
    PEOPLE,
    QUERIES,
    gallery,
    write_cuhk,
    write_prw,
)

TRAIN_PIPELINE = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='LoadTrackAnnotations'),
    dict(type='Resize', scale=(100, 60), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPersonSearchInputs'),
]
TEST_PIPELINE = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='Resize', scale=(100, 60), keep_ratio=True),
    dict(type='LoadTrackAnnotations'),
    dict(type='PackPersonSearchInputs'),
]


@pytest.fixture
def root(tmp_path):
    return write_cuhk(tmp_path / 'cuhk')


def draws(results):
    """A transform that shows all three random number generators."""
    return (
        results['img_id'],
        random.random(),
        float(np.random.rand()),  # noqa: NPY002
        float(torch.rand(())),
    )


def drawing(root, **options):
    return CUHKSYSUDataset(
        data_root=root, split='train', pipeline=[draws], **options
    )


# --- data list and metainfo


def test_training_items(root):
    dataset = DATASETS.build(
        dict(type='CUHKSYSUDataset', data_root=str(root), split='train')
    )
    item = dataset.get_data_info(0)
    assert item['img_id'] == 0
    assert item['img_name'] == 's1.jpg'
    assert item['img_path'] == str(root / 'Image/SSM/s1.jpg')
    assert item['instances'] == [
        dict(bbox=[1, 2, 11, 22], bbox_label=0, ignore_flag=0, instance_id=0),
        dict(
            bbox=[20, 2, 30, 22],
            bbox_label=0,
            ignore_flag=0,
            instance_id=UNLABELED,
        ),
    ]
    assert 'query_ids' not in item
    assert dataset.metainfo['identity_names'] == ['p1', 'p2']
    assert dataset.metainfo['classes'] == ('person',)
    assert 'queries' not in dataset.metainfo


def test_test_items_carry_their_queries(root):
    dataset = DATASETS.build(
        dict(type='CUHKSYSUDataset', data_root=str(root), split='test')
    )
    assert dataset.test_mode
    items = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [i['img_name'] for i in items] == dataset.metainfo['image_names']
    assert [i['query_ids'] for i in items] == [[], [1], [0]]
    assert [i['query_bboxes'] for i in items] == [
        [],
        [[25, 8, 36, 30]],
        [[250, 5, 290, 23]],
    ]
    assert [p['instance_id'] for p in items[1]['instances']] == [0, 1]
    assert dataset.metainfo['test_identity_names'] == ['p7', 'p8']
    assert list(dataset.metainfo['protocols']) == ['G50', 'all']


def test_identities_are_a_bijection_with_the_rows(tmp_path):
    dataset = PRWDataset(
        data_root=write_prw(tmp_path / 'prw', images=False),
        filter_cfg=dict(filter_empty_gt=False),
    )
    ids = {
        person['instance_id']
        for i in range(len(dataset))
        for person in dataset.get_data_info(i)['instances']
    }
    rows = len(dataset.metainfo['identity_names'])
    assert ids == {UNLABELED, *range(rows)}


def test_metainfo_does_not_copy_queries_and_protocols(root):
    dataset = CUHKSYSUDataset(data_root=root, split='test')
    one, two = dataset.metainfo, dataset.metainfo
    assert one['protocols'] is not two['protocols']
    assert one['protocols']['G50'] is two['protocols']['G50']
    assert one['queries'][0] is two['queries'][0]


def test_images_without_people_are_filtered_but_keep_their_number(tmp_path):
    people = {'s0.jpg': [], **PEOPLE}
    root = write_cuhk(tmp_path / 'c', people=people, images=False)
    dataset = CUHKSYSUDataset(data_root=root)
    assert [dataset.get_data_info(i)['img_id'] for i in range(3)] == [1, 2, 3]
    assert dataset.metainfo['image_names'][1] == 's1.jpg'
    keep = dict(filter_empty_gt=False)
    assert len(CUHKSYSUDataset(data_root=root, filter_cfg=keep)) == 4
    assert len(CUHKSYSUDataset(data_root=root, test_mode=True)) == 4


def test_an_image_with_only_unlabelled_people_is_kept(tmp_path):
    root = write_cuhk(tmp_path / 'c', train={}, images=False)
    dataset = CUHKSYSUDataset(data_root=root)
    assert len(dataset) == 3
    assert dataset.metainfo['identity_names'] == []


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(split='val'), ValueError, "'train' or 'test', got 'val'"),
        (dict(data_root=''), DatasetError, 'data_root: is empty'),
        (dict(on_bad_image='ignore'), ValueError, "got 'ignore'"),
        (
            dict(on_bad_image='skip', split='test'),
            ValueError,
            'is for training',
        ),
        (dict(filter_cfg=dict(min_size=3)), ValueError, r"\['min_size'\]"),
        (dict(protocols='G50'), TypeError, 'must be a list'),
        (dict(sede=3), TypeError, "unexpected keyword argument 'sede'"),
    ],
)
def test_wrong_arguments(root, options, error, message):
    with pytest.raises(error, match=message):
        CUHKSYSUDataset(**{'data_root': root, **options})


def test_notes_of_the_reader_are_logged(tmp_path, logged):
    train = {'p1': [('s3.jpg', np.array([[1, 1, 1, 1]]))]}
    root = write_cuhk(tmp_path / 'c', train=train, images=False)
    CUHKSYSUDataset(data_root=root)
    assert '1 boxes of identities equal no box' in ' '.join(logged)


# --- pipelines


def test_training_samples(root):
    dataset = CUHKSYSUDataset(data_root=root, pipeline=TRAIN_PIPELINE)
    flips = set()
    for epoch in range(8):
        dataset.set_epoch(epoch)
        sample = dataset[0]['data_samples']
        flips.add(sample.flip)
        boxes = sample.gt_instances.bboxes[:, [0, 2]] / 1.5  # 60 to 90 wide
        expected = [[49, 59], [30, 40]] if sample.flip else [[1, 11], [20, 30]]
        assert boxes.tolist() == expected
        assert sample.gt_instances.instances_ids.tolist() == [0, -1]
    assert flips == {True, False}


def test_test_samples_stay_in_original_pixels(root):
    dataset = CUHKSYSUDataset(
        data_root=root, split='test', pipeline=TEST_PIPELINE
    )
    sample = dataset[2]['data_samples']
    assert sample.img_shape == (13, 100)
    assert sample.gt_instances.bboxes.tolist()[0] == [250, 5, 290, 23]
    assert sample.query_instances.bboxes.tolist() == [[250, 5, 290, 23]]
    assert sample.query_instances.query_ids.tolist() == [0]
    assert len(dataset[0]['data_samples'].query_instances) == 0


# --- random numbers


def test_an_item_depends_on_seed_epoch_and_index_alone(root):
    dataset = drawing(root)
    first = dataset[1]
    assert dataset[0] != first
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    assert dataset[1] == first == dataset[-2]
    dataset.set_epoch(1)
    assert dataset.epoch == 1
    assert dataset[1][1:] != first[1:]
    dataset.set_epoch(0)
    assert dataset[1] == first
    assert drawing(root, seed=1)[1][1:] != first[1:]


def test_test_items_do_not_touch_the_generators(root):
    dataset = drawing(root, test_mode=True)
    torch.manual_seed(5)
    expected = float(torch.rand(()))
    torch.manual_seed(5)
    assert dataset[0][3] == expected


def epochs(dataset, workers, first=0, last=3, context=None):
    persistent = workers > 0
    loader = DataLoader(
        dataset,
        batch_size=2,
        num_workers=workers,
        persistent_workers=persistent,
        collate_fn=list,
        multiprocessing_context=context,
    )
    result = []
    for epoch in range(first, last):
        dataset.set_epoch(epoch)
        result.append([item for batch in loader for item in batch])
    return result


def test_workers_persistent_or_none_draw_the_same_and_a_resume_too(root):
    expected = epochs(drawing(root), workers=0)
    assert expected[0] != expected[1] != expected[2]
    assert epochs(drawing(root), workers=1) == expected
    assert epochs(drawing(root), workers=2) == expected
    assert epochs(drawing(root), workers=2, first=2) == expected[2:]


def test_a_spawned_worker_would_see_the_epoch(root):
    # what DataLoader does with multiprocessing_context='spawn'
    dataset = drawing(root)
    theirs = pickle.loads(ForkingPickler.dumps(dataset))
    dataset.set_epoch(3)
    assert theirs.epoch == 3
    assert theirs[1] == dataset[1]


def test_copies_share_the_epoch_and_pickles_keep_it(root):
    dataset = drawing(root)
    half = dataset.get_subset([1])
    twin = copy.deepcopy(dataset)
    dataset.set_epoch(4)
    assert half.epoch == twin.epoch == 4
    again = pickle.loads(pickle.dumps(dataset))
    dataset.set_epoch(5)
    assert again.epoch == 4
    again.set_epoch(5)
    assert again[1] == dataset[1]


# --- images that cannot be read


def spoil(root, name):
    (root / 'Image/SSM' / name).write_bytes(b'')


def test_a_bad_image_stops_with_its_name(root):
    spoil(root, 's2.jpg')
    dataset = CUHKSYSUDataset(data_root=root, pipeline=TRAIN_PIPELINE)
    with pytest.raises(DatasetError, match=r's2\.jpg'):
        dataset[1]


def test_an_image_that_a_test_lacks_names_who_is_searched_in_it(root):
    (root / 'Image/SSM/s10.jpg').unlink()
    (root / 'Image/SSM/s11.jpg').unlink()
    dataset = CUHKSYSUDataset(
        data_root=root, split='test', pipeline=TEST_PIPELINE
    )
    assert dataset.metainfo['image_names'] == ['s10.jpg', 's11.jpg', 's4.jpg']
    for number, needed in enumerate(
        (
            # in both galleries
            "query 0 (p7) and 1 more of protocol 'G50', "
            "query 0 (p7) and 1 more of protocol 'all'",
            # in one gallery, and the other query's own image
            "query 0 (p7) and 1 more of protocol 'G50', "
            "query 0 (p7) and 1 more of protocol 'all'",
        )
    ):
        with pytest.raises(DatasetError) as caught:
            dataset[number]
        assert str(caught.value) == (
            f'{root}/Image/SSM/s1{number}.jpg: no such image; needed for '
            f'{needed}; is the data set complete?'
        )


def test_only_those_who_are_searched_in_an_image_are_named(tmp_path):
    first, second = QUERIES
    protocols = {'TestG50': [first, (second[0], gallery(('s4.jpg', NOBODY)))]}
    root = write_cuhk(tmp_path / 'c', protocols=protocols)
    for name in ('s4', 's10'):
        spoil(root, f'{name}.jpg')
    dataset = CUHKSYSUDataset(
        data_root=root,
        split='test',
        pipeline=TEST_PIPELINE,
        protocols=['G50'],
    )
    with pytest.raises(
        DatasetError,
        match=r"(?s)s10\.jpg.*needed for query 0 \(p7\) of .*'G50'; ",
    ):
        dataset[0]
    with pytest.raises(
        DatasetError, match=r'(?s)s4\.jpg.*for query 0 \(p7\) and 1 more of'
    ):
        dataset[2]
    nobody = CUHKSYSUDataset(
        data_root=root, split='test', pipeline=TEST_PIPELINE, protocols=[]
    )
    with pytest.raises(DatasetError) as caught:
        nobody[0]
    assert 'needed' not in str(caught.value)


def test_a_bad_image_stops_with_its_name_from_a_worker_too(root):
    spoil(root, 's2.jpg')
    dataset = CUHKSYSUDataset(data_root=root, pipeline=TRAIN_PIPELINE)
    loader = DataLoader(dataset, num_workers=1, collate_fn=pseudo_collate)
    with pytest.raises(DatasetError, match=r's2\.jpg'):
        list(loader)


def test_skip_takes_another_image_and_counts(root, logged):
    spoil(root, 's2.jpg')
    dataset = CUHKSYSUDataset(
        data_root=root, pipeline=TRAIN_PIPELINE, on_bad_image='skip'
    )
    names = [dataset[1]['data_samples'].img_name for _ in range(3)]
    assert names[0] in ('s1.jpg', 's3.jpg')
    assert names == names[:1] * 3  # by seed, not by luck
    assert dataset.skipped_images >= 3
    assert 'skipped (1 so far)' in ' '.join(logged)
    assert 's2.jpg' in ' '.join(logged)


def test_workers_count_what_they_skip(root):
    spoil(root, 's2.jpg')
    dataset = CUHKSYSUDataset(
        data_root=root, pipeline=TRAIN_PIPELINE, on_bad_image='skip'
    )
    loader = DataLoader(dataset, num_workers=1, collate_fn=pseudo_collate)
    assert len(list(loader)) == 3
    assert dataset.skipped_images >= 1


def test_skip_gives_up_when_no_image_can_be_read(root):
    for name in ('s1.jpg', 's2.jpg', 's3.jpg'):
        spoil(root, name)
    dataset = CUHKSYSUDataset(
        data_root=root,
        pipeline=TRAIN_PIPELINE,
        on_bad_image='skip',
        max_refetch=5,
    )
    with pytest.raises(Exception, match='Cannot find valid image'):
        dataset[0]
