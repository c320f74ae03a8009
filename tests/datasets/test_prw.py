import random

import numpy as np
import pytest
from scipy.io import savemat

from mmps.datasets.errors import DatasetError
from mmps.datasets.prw import read_probes, read_prw

from .layouts import PROBES, TEST_FRAMES, TRAIN_FRAMES, cells, write_prw


@pytest.fixture
def root(tmp_path):
    return write_prw(tmp_path / 'prw', images=False)


def test_identities_are_numbered_in_the_order_of_the_numbers(root):
    train = read_prw(root, 'train')
    assert train.identity_names == ['1', '2', '932']
    assert [i.identities for i in train.images] == [
        ('1', None),
        ('2', '2'),
        ('932',),
        (None,),
    ]
    assert train.images[0].path == str(root / 'frames/c1s1_000001.jpg')


def test_483_identities_and_their_order(tmp_path):
    ids = [*range(1, 479), *range(480, 484), 932]
    frames = {
        f'c1s1_{i:06}': [(name, 1, 1, 5, 5)] for i, name in enumerate(ids)
    }
    root = write_prw(tmp_path / 'prw', train=frames, images=False)
    train = read_prw(root, 'train')
    assert train.identity_names == list(map(str, ids))
    assert len(train.identity_names) == 483


def test_negative_corners_are_clipped_and_the_others_stay(root):
    frame = read_prw(root, 'train').images[1]
    assert frame.bboxes[0] == pytest.approx([0, 5, 8.3, 25])


@pytest.mark.parametrize('ending', ['\n', '\r\n', ''])
def test_line_ends_do_not_matter(tmp_path, ending):
    file = tmp_path / 'query_info.txt'
    text = ('\r\n' if ending else '\n').join(PROBES) + ending
    file.write_bytes(text.encode())
    probes = read_probes(file)
    assert [p.frame for p in probes] == [
        'c1s2_000010.jpg',
        'c2s2_000012.jpg',
        'c1s2_000010.jpg',
    ]
    assert [p.identity for p in probes] == ['479', '479', '933']
    assert probes[1].bbox.tolist() == [7.25, 0, 17.25, 16.5]


def test_regular_leaves_out_the_own_frame(root):
    records = read_prw(root, 'test', ['regular'])
    names = [image.name for image in records.images]
    assert names == sorted(f'{name}.jpg' for name in TEST_FRAMES)
    galleries = records.protocols['regular'].galleries
    assert [g.images.tolist() for g in galleries] == [[0], [2], [0]]
    assert [g.positives.tolist() for g in galleries] == [[1, 2], [0, 1], [3]]
    assert all(g.complement for g in galleries)
    # 933 was drawn twice there: the first box counts
    assert galleries[2].bboxes.tolist() == [[8, 5, 18, 25]]


def test_cross_camera_leaves_out_the_camera(root):
    galleries = read_prw(root, 'test').protocols['cross-camera'].galleries
    assert [g.images.tolist() for g in galleries] == [[0, 1], [2], [0, 1]]
    assert [g.positives.tolist() for g in galleries] == [[2], [0, 1], [3]]


def test_mini_shares_the_queries_of_the_others(tmp_path):
    root = write_prw(tmp_path / 'prw', mini=PROBES[2:], images=False)
    records = read_prw(root, 'test')
    assert list(records.protocols) == ['regular', 'cross-camera', 'mini']
    assert len(records.queries) == 3
    assert records.protocols['mini'].queries.tolist() == [2]
    assert records.protocols['mini'].galleries[0].images.tolist() == [0]


def test_mini_without_its_file(root):
    assert list(read_prw(root, 'test').protocols) == [
        'regular',
        'cross-camera',
    ]
    with pytest.raises(
        DatasetError,
        match=r"prw/prwmini_query_info\.txt: protocol 'mini' needs this file.*"
        r'not part of the archive.*the authors of QEEPS published it.*'
        r'beside query_info\.txt, or do not ask',
    ):
        read_prw(root, 'test', ['mini'])
    with pytest.raises(ValueError, match=r"\['maxi'\] are none of"):
        read_prw(root, 'test', ['maxi'])


def test_a_query_outside_of_the_test_frames(tmp_path):
    probes = ['1 5 5 10 20 c1s1_000001']
    root = write_prw(tmp_path / 'prw', probes=probes, images=False)
    with pytest.raises(DatasetError, match='not in the gallery pass'):
        read_prw(root, 'test')


def test_a_query_whose_person_is_nowhere_else(tmp_path):
    probes = ['500 5 5 10 20 c1s2_000010']
    root = write_prw(tmp_path / 'prw', probes=probes, images=False)
    gallery = read_prw(root, 'test').protocols['regular'].galleries[0]
    assert gallery.positives.tolist() == []
    assert gallery.bboxes.shape == (0, 4)


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('479 5 5 10 c1s2_000010', 'line 4 is not "id x y w h frame"'),
        ('479 5 5 10 x c1s2_000010', 'line 4 is not "id x y w h frame"'),
        ('479 5 5 10 20 7 c1s2_000010', 'line 4 is not'),
        ('479 5 5 0 20 c1s2_000010', 'line 4 has a box without an area'),
        ('479 5 5 nan 20 c1s2_000010', 'line 4 has a box without an area'),
        ('479 -10 5 10 20 c1s2_000010', 'line 4 has a box without an area'),
        ('479 5 -30 10 20 c1s2_000010', 'line 4 has a box without an area'),
        ('479 5 5 1e308 20 c1s2_000010', 'line 4 has a box without an area'),
        ('-2 5 5 10 20 c1s2_000010', 'line 4 has no identity'),
        ('0 5 5 10 20 c1s2_000010', r'identity 0\.0'),
    ],
)
def test_a_bad_line(tmp_path, line, message):
    root = write_prw(tmp_path / 'prw', probes=[*PROBES, line], images=False)
    with pytest.raises(DatasetError, match=message):
        read_prw(root, 'test')


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ((1.5, 1, 1, 5, 5), r'identity 1\.5'),
        ((-1, 1, 1, 5, 5), r'identity -1\.0'),
        ((1, 1, 1, 0, 5), 'no area'),
        ((1, -5, 1, 5, 5), 'no area'),
        ((1, 1e308, 1, 1e308, 5), 'no area'),
        ((1, 1, -7, 5, 5), 'no area'),
        ((1, 1, np.nan, 5, 5), 'not finite'),
        ((np.inf, 1, 1, 5, 5), 'not finite'),
    ],
)
def test_a_bad_row(tmp_path, row, message):
    frames = {**TRAIN_FRAMES, 'c1s1_000009': [row]}
    root = write_prw(tmp_path / 'prw', train=frames, images=False)
    with pytest.raises(DatasetError, match=rf'000009\.jpg\.mat.*{message}'):
        read_prw(root, 'train')


def test_a_frame_without_people(tmp_path):
    frames = {**TRAIN_FRAMES, 'c1s1_000009': []}
    root = write_prw(tmp_path / 'prw', train=frames, images=False)
    assert read_prw(root, 'train').images[1].bboxes.shape == (0, 4)


def test_an_annotation_under_another_name(root):
    file = root / 'annotations/c1s1_000001.jpg.mat'
    savemat(file, {'boxes': np.ones((1, 5))})
    with pytest.raises(DatasetError, match=r"'box_new' or .*\['boxes'\]"):
        read_prw(root, 'train')
    file.unlink()
    with pytest.raises(DatasetError, match=r'000001\.jpg\.mat: no such file'):
        read_prw(root, 'train')


def test_flipped_bytes_give_an_error_or_plain_records(root):
    for name in ('frame_train.mat', 'annotations/c1s1_000001.jpg.mat'):
        content = (root / name).read_bytes()
        draw = random.Random(name)
        for _ in range(200):
            damaged = bytearray(content)
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
            (root / name).write_bytes(damaged)
            try:
                records = read_prw(root, 'train')
            except DatasetError:
                continue
            assert all(
                np.isfinite(i.bboxes).all()
                and len(i.bboxes) == len(i.identities)
                for i in records.images
            )
        (root / name).write_bytes(content)


def moved(frames, **cameras):
    """The frames, with their cameras renamed."""
    return {
        f'{cameras.get(name[:2], name[:2])}{name[2:]}': rows
        for name, rows in frames.items()
    }


def test_cameras_may_have_two_digits(tmp_path):
    cameras = dict(c1='c11', c2='c12')
    probes = [
        line.replace('c1s', 'c11s').replace('c2s', 'c12s') for line in PROBES
    ]
    one, two = (
        read_prw(write_prw(tmp_path / name, images=False, **given), 'test')
        for name, given in (
            ('one', {}),
            ('two', dict(test=moved(TEST_FRAMES, **cameras), probes=probes)),
        )
    )
    assert one.images[0].name == 'c1s2_000010.jpg'
    assert two.images[0].name == 'c11s2_000010.jpg'
    for first, second in zip(
        one.protocols['cross-camera'].galleries,
        two.protocols['cross-camera'].galleries,
        strict=True,
    ):
        assert first.images.tolist() == second.images.tolist()
        assert first.positives.tolist() == second.positives.tolist()


def test_frames_may_be_listed_with_their_suffix(tmp_path):
    root = write_prw(tmp_path / 'prw', images=False)
    expected = read_prw(root, 'test')
    names = cells([f'{name}.jpg' for name in TEST_FRAMES])
    savemat(root / 'frame_test.mat', {'img_index_test': names})
    (root / 'query_info.txt').write_text(
        ''.join(f'{line}.jpg\n' for line in PROBES)
    )
    found = read_prw(root, 'test')
    assert [i.path for i in found.images] == [i.path for i in expected.images]
    assert [(q.image, q.identity) for q in found.queries] == [
        (q.image, q.identity) for q in expected.queries
    ]


def test_a_frame_that_names_no_camera_is_shown(root):
    names = cells(['c1s1_000001', 'gate_000007'])
    savemat(root / 'frame_train.mat', {'img_index_train': names})
    with pytest.raises(DatasetError) as caught:
        read_prw(root, 'train')
    assert "{2} is 'gate_000007'" in str(caught.value)
    assert 'c<camera>s<sequence>_<number>' in str(caught.value)
