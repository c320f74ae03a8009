import random
from contextlib import suppress

import numpy as np
import pytest
from scipy.io import savemat

from mmps.datasets.cuhk_sysu import read_cuhk_sysu
from mmps.datasets.errors import DatasetError

from .layouts import (
    NOBODY,
    PEOPLE,
    POOL,
    QUERIES,
    TRAIN,
    box,
    cells,
    gallery,
    query,
    write_cuhk,
)


@pytest.fixture
def root(tmp_path):
    return write_cuhk(tmp_path / 'cuhk', images=False)


def named(records):
    return {image.name: image for image in records.images}


def test_training_images_are_all_but_the_pool_sorted(root):
    train = read_cuhk_sysu(root, 'train')
    assert [i.name for i in train.images] == ['s1.jpg', 's2.jpg', 's3.jpg']
    assert train.images[0].path == str(root / 'Image/SSM/s1.jpg')
    test = read_cuhk_sysu(root, 'test')
    assert [i.name for i in test.images] == ['s10.jpg', 's11.jpg', 's4.jpg']


def test_identities_are_the_order_of_train_mat(tmp_path):
    root = write_cuhk(
        tmp_path / 'c', train=dict(reversed(TRAIN.items())), images=False
    )
    train = read_cuhk_sysu(root, 'train')
    assert train.identity_names == ['p2', 'p1']
    images = named(train)
    assert images['s1.jpg'].identities == ('p1', None)
    assert images['s3.jpg'].identities == ('p2',)  # uint8 equals uint16
    assert train.notes == ()


def test_boxes_without_width_or_height_are_left_out(root):
    boxes = named(read_cuhk_sysu(root, 'train'))['s2.jpg'].bboxes
    assert boxes.tolist() == [[5, 5, 15, 25]]
    assert boxes.dtype == np.float64


def test_uint8_does_not_overflow(root):
    records = read_cuhk_sysu(root, 'test')
    assert named(records)['s4.jpg'].bboxes[0].tolist() == [250, 5, 290, 23]
    assert records.queries[0].bbox.tolist() == [250, 5, 290, 23]


def test_an_identity_needs_an_equal_box(tmp_path):
    train = dict(TRAIN, p2=[('s3.jpg', box(30, 5, 9, 19))])
    root = write_cuhk(tmp_path / 'c', train=train, images=False)
    records = read_cuhk_sysu(root, 'train')
    assert named(records)['s3.jpg'].identities == (None,)
    assert len(records.identity_names) == 2  # a row stays a row
    assert 'p2 in s3.jpg' in records.notes[0]


def test_a_box_that_two_identities_claim_stays_with_the_first(tmp_path):
    train = dict(TRAIN, p3=TRAIN['p2'])
    records = read_cuhk_sysu(
        write_cuhk(tmp_path / 'c', train=train, images=False), 'train'
    )
    assert named(records)['s3.jpg'].identities == ('p2',)
    assert 'p2 and p3 share' in records.notes[0]


def test_a_person_twice_in_one_training_image(tmp_path):
    scenes = [('s1.jpg', box(1, 2, 10, 20)), ('s1.jpg', box(20, 2, 10, 20))]
    root = write_cuhk(tmp_path / 'c', train={'p1': scenes}, images=False)
    records = read_cuhk_sysu(root, 'train')
    assert named(records)['s1.jpg'].identities == ('p1', 'p1')


def test_an_image_without_people(tmp_path):
    root = write_cuhk(
        tmp_path / 'c', people=dict(PEOPLE, **{'s5.jpg': []}), images=False
    )
    image = named(read_cuhk_sysu(root, 'train'))['s5.jpg']
    assert image.bboxes.shape == (0, 4)
    assert image.identities == ()


def test_a_protocol_is_read_as_written(root):
    records = read_cuhk_sysu(root, 'test', ['G50'])
    assert list(records.protocols) == ['G50']
    protocol = records.protocols['G50']
    first, second = protocol.galleries
    assert protocol.queries.tolist() == [0, 1]
    assert [(q.image, q.identity) for q in records.queries] == [
        (2, 'p7'),
        (1, 'p8'),
    ]
    assert first.images.tolist() == first.positives.tolist() == [0, 1]
    assert first.bboxes.tolist() == [[5, 6, 17, 30], [7, 8, 18, 30]]
    assert second.images.tolist() == [2, 0]
    assert second.positives.tolist() == [2]
    assert second.bboxes.tolist() == [[3, 4, 12, 22]]
    assert not first.complement


def test_people_of_the_test_half_get_the_names_of_the_protocols(root):
    records = read_cuhk_sysu(root, 'test')
    images = named(records)
    assert records.identity_names == ['p7', 'p8']
    assert images['s4.jpg'].identities == ('p7', 'p8')
    assert images['s11.jpg'].identities == ('p7', 'p8')
    assert images['s10.jpg'].identities == ('p7',)


def test_the_whole_set_leaves_out_the_own_image_alone(root):
    full = read_cuhk_sysu(root, 'test', ['all']).protocols['all']
    assert [g.images.tolist() for g in full.galleries] == [[2], [1]]
    assert [g.positives.tolist() for g in full.galleries] == [[0, 1], [2]]
    assert all(g.complement for g in full.galleries)


def odd_gallery():
    """An image listed twice, and the query's own image, as in real data."""
    return (
        QUERIES[0][0],
        gallery(
            ('s11.jpg', box(7, 8, 11, 22)),
            ('s11.jpg', box(7, 8, 11, 22)),
            ('s4.jpg', box(250, 5, 40, 18, dtype=np.uint8)),
            ('s10.jpg', NOBODY),
        ),
    )


def test_an_image_listed_twice_stays_twice_but_not_in_the_whole_set(tmp_path):
    root = write_cuhk(
        tmp_path / 'c', protocols={'TestG100': [odd_gallery()]}, images=False
    )
    records = read_cuhk_sysu(root, 'test')
    listed = records.protocols['G100'].galleries[0]
    assert listed.images.tolist() == [1, 1, 2, 0]
    assert listed.positives.tolist() == [1, 1, 2]
    full = records.protocols['all'].galleries[0]
    assert full.positives.tolist() == [1]
    assert full.bboxes.tolist() == [[7, 8, 18, 30]]


def test_protocols_share_their_queries(tmp_path):
    protocols = {
        'TestG50': QUERIES,
        'TestG100': QUERIES[::-1],
        'Occlusion': QUERIES[1:],
        'Resolution': QUERIES[:1],
    }
    root = write_cuhk(tmp_path / 'c', protocols=protocols, images=False)
    records = read_cuhk_sysu(root, 'test')
    assert len(records.queries) == 2
    positions = {k: p.queries.tolist() for k, p in records.protocols.items()}
    assert positions == {
        'G50': [0, 1],
        'G100': [1, 0],
        'occlusion': [1],
        'low-resolution': [0],
        'all': [0, 1],
    }


def test_a_subset_alone_loads_its_own_queries_but_labels_everybody(tmp_path):
    root = write_cuhk(
        tmp_path / 'c',
        protocols={'TestG100': QUERIES, 'Occlusion': QUERIES[1:]},
        images=False,
    )
    records = read_cuhk_sysu(root, 'test', ['occlusion'])
    assert [q.identity for q in records.queries] == ['p8']
    assert records.protocols['occlusion'].queries.tolist() == [0]
    assert records.identity_names == ['p7', 'p8']


def test_no_protocol_at_all_is_for_detection(root):
    records = read_cuhk_sysu(root, 'test', [])
    assert records.protocols == {}
    assert records.queries == ()


def test_a_protocol_that_is_not_there(root):
    with pytest.raises(DatasetError, match=r"'G4000' needs .*TestG4000\.mat"):
        read_cuhk_sysu(root, 'test', ['G50', 'G4000'])
    with pytest.raises(ValueError, match="'G51' is none of"):
        read_cuhk_sysu(root, 'test', ['G51'])


def test_no_protocol_file(tmp_path):
    root = write_cuhk(tmp_path / 'c', protocols={}, images=False)
    with pytest.raises(DatasetError, match='no protocol file'):
        read_cuhk_sysu(root, 'test')
    assert len(read_cuhk_sysu(root, 'train').images) == 3


def test_wrong_root_and_wrong_split(root, tmp_path):
    with pytest.raises(DatasetError, match='nowhere: no such folder'):
        read_cuhk_sysu(tmp_path / 'nowhere', 'train')
    with pytest.raises(DatasetError, match='SSM: no such folder'):
        read_cuhk_sysu(tmp_path, 'train')
    with pytest.raises(ValueError, match="'train' or 'test', got 'val'"):
        read_cuhk_sysu(root, 'val')


def test_a_query_outside_of_the_test_images(tmp_path):
    outside = (query('s1.jpg', box(1, 2, 10, 20), 'p1'), QUERIES[0][1])
    root = write_cuhk(
        tmp_path / 'c', protocols={'TestG50': [outside]}, images=False
    )
    with pytest.raises(DatasetError, match='not in the gallery pass'):
        read_cuhk_sysu(root, 'test')


@pytest.mark.parametrize(
    ('where', 'message'),
    [
        (NOBODY, r'query 0 \(p7\) has no box in s4\.jpg; .*\[x y w h\]'),
        (box(5, 5, 0, 9), r'\(p7\) has the box \(5, 5, 0, 9\).*in s4\.jpg'),
        (box(5, 5, 9, 0), r'the box \(5, 5, 9, 0\).*no area'),
        (box(5, 5, -9, 9, dtype=np.int16), r'\(5, 5, -9, 9\).*no area'),
        (box(-9, 5, 9, 9, dtype=np.int16), r'\(-9, 5, 9, 9\).*no area'),
        (box(5, -30, 9, 9, dtype=np.int16), r'\(5, -30, 9, 9\).*no area'),
    ],
)
def test_a_query_without_a_box_in_its_image(tmp_path, where, message):
    queries = [(query('s4.jpg', where, 'p7'), QUERIES[0][1])]
    root = write_cuhk(
        tmp_path / 'c', protocols={'TestG50': queries}, images=False
    )
    with pytest.raises(DatasetError, match=rf'TestG50\.mat: .*{message}'):
        read_cuhk_sysu(root, 'test')


def test_a_query_partly_outside_is_read(tmp_path):
    where = box(-8, 5, 9, 9, dtype=np.int16)
    queries = [(query('s4.jpg', where, 'p7'), QUERIES[0][1])]
    root = write_cuhk(
        tmp_path / 'c', protocols={'TestG50': queries}, images=False
    )
    (found,) = read_cuhk_sysu(root, 'test').queries
    assert found.bbox.tolist() == [-8, 5, 1, 14]


@pytest.mark.parametrize(
    ('where', 'message'),
    [
        (box(5, 6, -12, 24, dtype=np.int16), 'whose sides are negative'),
        (box(5, 6, 1e308, 24, dtype=float), 'reaches beyond any picture'),
        (box(5, 6, np.nan, 24, dtype=float), 'is not finite'),
    ],
)
def test_a_gallery_with_a_box_that_nothing_can_match(tmp_path, where, message):
    queries = [(QUERIES[0][0], gallery(('s10.jpg', where)))]
    root = write_cuhk(
        tmp_path / 'c', protocols={'TestG50': queries}, images=False
    )
    with pytest.raises(DatasetError, match=rf'TestG50\.mat: .*{message}'):
        read_cuhk_sysu(root, 'test')


def test_a_gallery_image_outside_of_the_test_images(tmp_path):
    outside = (QUERIES[0][0], gallery(('s1.jpg', NOBODY)))
    root = write_cuhk(
        tmp_path / 'c', protocols={'TestG50': [outside]}, images=False
    )
    with pytest.raises(DatasetError, match=r"query 0 lists 's1\.jpg'"):
        read_cuhk_sysu(root, 'test')


def test_names_that_stand_twice(tmp_path):
    root = write_cuhk(tmp_path / 'a', pool=[*POOL, POOL[0]], images=False)
    with pytest.raises(DatasetError, match=r"pool.*'s4\.jpg' is listed 2"):
        read_cuhk_sysu(root, 'test')
    root = write_cuhk(tmp_path / 'b', pool=[*POOL, 's99.jpg'], images=False)
    with pytest.raises(DatasetError, match=r"lists 's99\.jpg'"):
        read_cuhk_sysu(root, 'train')


@pytest.mark.parametrize(
    'where',
    [
        np.zeros((1, 3), np.uint16),
        np.full((1, 4), np.nan),
        np.array([[1, 2, np.inf, 4]]),
        'text',
    ],
)
def test_a_box_that_is_none(tmp_path, where):
    people = dict(PEOPLE, **{'s1.jpg': [where]})
    root = write_cuhk(tmp_path / 'c', people=people, images=False)
    with pytest.raises(DatasetError, match=r'Images\.mat: a box in s1\.jpg'):
        read_cuhk_sysu(root, 'train')


@pytest.mark.parametrize('value', [np.zeros((2, 2)), 'text', cells([1, 'a'])])
@pytest.mark.parametrize(
    ('file', 'variable'),
    [
        ('Images.mat', 'Img'),
        ('pool.mat', 'pool'),
        ('test/train_test/Train.mat', 'Train'),
        ('test/train_test/TestG50.mat', 'TestG50'),
    ],
)
def test_a_variable_that_is_something_else(root, file, variable, value):
    savemat(root / 'annotation' / file, {variable: value})
    split = 'test' if 'TestG50' in file else 'train'
    with pytest.raises(DatasetError, match=variable):
        read_cuhk_sysu(root, split)


@pytest.mark.parametrize(
    'file',
    [
        'Images.mat',
        'pool.mat',
        'test/train_test/Train.mat',
        'test/train_test/TestG50.mat',
    ],
)
def test_flipped_bytes_give_an_error_or_plain_records(root, file):
    path = root / 'annotation' / file
    content = path.read_bytes()
    draw = random.Random(file)
    for _ in range(100):
        damaged = bytearray(content)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        for split in ('train', 'test'):
            with suppress(DatasetError):
                images = read_cuhk_sysu(root, split).images
                assert all(len(i.bboxes) == len(i.identities) for i in images)
