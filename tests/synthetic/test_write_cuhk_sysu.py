"""The files are read back with SciPy, field by field."""

from collections import Counter

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from . import sets


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp('synthetic') / 'cuhk-sysu'
    return root, sets.make_cuhk_sysu(root)


def load(root, name, variable):
    return loadmat(root / 'annotation' / f'{name}.mat')[variable]


def boxes_of(root):
    """Return the rows x y w h of every picture in Images.mat."""
    found = {}
    for row in load(root, 'Images', 'Img').squeeze():
        people = row['box'].reshape(-1)
        found[row['imname'].item()] = [
            tuple(p['idlocate'][0].astype(int).tolist()) for p in people
        ]
    return found


def protocol(root, name='train_test/TestG20', variable='TestG20'):
    """Yield (query name, box, idname, [(name, box or None), ...])."""
    for row in load(root, f'test/{name}', variable).squeeze():
        query = row['Query'][0, 0]
        gallery = [
            (
                entry['imname'].item(),
                tuple(entry['idlocate'][0].astype(int).tolist()),
            )
            for entry in row['Gallery'][0]
        ]
        box = tuple(query['idlocate'][0].astype(int).tolist())
        yield query['imname'].item(), box, query['idname'].item(), gallery


def test_every_file_is_there_and_no_other(made):
    root, _ = made
    files = {
        str(p.relative_to(root))
        for p in root.rglob('*')
        if p.is_file() and p.suffix != '.jpg'
    }
    assert files == {
        'synthetic.json',
        'annotation/Images.mat',
        'annotation/Person.mat',
        'annotation/pool.mat',
        'annotation/test/train_test/Train.mat',
        'annotation/test/train_test/TestG10.mat',
        'annotation/test/train_test/TestG20.mat',
        'annotation/test/subset/Occlusion.mat',
        'annotation/test/subset/Resolution.mat',
    }
    pictures = {p.name for p in (root / 'Image/SSM').iterdir()}
    assert pictures == {f's{k}.jpg' for k in range(1, 45)}


def test_images_have_the_published_fields(made):
    root, _ = made
    images = load(root, 'Images', 'Img')
    assert images.shape == (1, 44)
    assert images.dtype.names == ('imname', 'nAppear', 'box')
    for row in images[0]:
        assert row['box'].shape == (1, row['nAppear'].item())
        assert row['box'].dtype.names == ('idlocate', 'ishard')
        for person in row['box'][0]:
            assert person['idlocate'].shape == (1, 4)
            assert person['ishard'].shape == (1, 1)
            assert person['ishard'].dtype == np.uint8
    kinds = {b['idlocate'].dtype for r in images[0] for b in r['box'][0]}
    assert kinds == {np.dtype(np.uint8), np.dtype(np.uint16)}


def test_some_boxes_overflow_in_their_own_type(made):
    root, _ = made
    sums = [
        int(b['idlocate'][0, 0]) + int(b['idlocate'][0, 2])
        for row in load(root, 'Images', 'Img')[0]
        for b in row['box'][0]
        if b['idlocate'].dtype == np.uint8
    ]
    assert max(sums) > 255


def test_boxes_are_in_their_pictures_but_for_empty_ones(made):
    root, plan = made
    empty = 0
    for picture in plan.pictures:
        image = cv2.imread(str(root / 'Image/SSM' / picture.name))
        assert image.shape == (240, 320, 3)
        good = []
        for x, y, w, h in boxes_of(root)[picture.name]:
            if w == 0 or h == 0:
                empty += 1
                continue
            good.append((x, y, w, h))
            assert x + w <= 320
            assert y + h <= 240
        assert len(good) == len(set(good)) == len(picture.people)
    assert empty == plan.size.zero_boxes


def test_the_pool_is_the_test_half(made):
    root, plan = made
    pool = load(root, 'pool', 'pool')
    assert pool.shape == (24, 1)
    names = [cell[0].item() for cell in pool]
    assert names == [plan.pictures[k].name for k in plan.test]


def test_training_identities_own_boxes_of_training_pictures(made):
    root, plan = made
    train = load(root, 'test/train_test/Train', 'Train')
    boxes, names = boxes_of(root), {plan.pictures[k].name for k in plan.train}
    assert train.shape == (8, 1)
    owners, single = Counter(), 0
    for position, cell in enumerate(train[:, 0]):
        person = cell[0, 0]
        assert cell.shape == (1, 1)
        assert cell.dtype.names == ('idname', 'nAppear', 'scene')
        assert person['idname'].item() == plan.idnames[position]
        scene = person['scene']
        assert scene.shape == (1, person['nAppear'].item())
        assert scene.dtype.names == ('imname', 'idlocate', 'ishard')
        single += scene.squeeze().ndim == 0
        for place in scene[0]:
            box = tuple(place['idlocate'][0].astype(int).tolist())
            assert place['imname'].item() in names
            assert box in boxes[place['imname'].item()]
            owners[place['imname'].item(), box] += 1
    assert set(owners.values()) == {1}
    assert len(owners) == plan.size.train.labelled
    assert single >= 2


def test_persons_are_all_identities_by_number(made):
    root, plan = made
    persons = load(root, 'Person', 'Person')
    assert persons.dtype.names == ('idname', 'nAppear', 'scene')
    names = [row['idname'].item() for row in persons[0]]
    assert sorted(names) == sorted(plan.idnames)
    assert names == sorted(names, key=lambda n: int(n[1:]))
    assert names != list(plan.idnames)
    labelled = plan.size.train.labelled + plan.size.test.labelled
    assert sum(row['scene'].size for row in persons[0]) == labelled


@pytest.mark.parametrize('size', [10, 20])
def test_queries_and_galleries_have_the_published_fields(made, size):
    root, plan = made
    name = f'TestG{size}'
    rows = load(root, f'test/train_test/{name}', name)
    assert rows.shape == (1, len(plan.queries))
    assert rows.dtype.names == ('Query', 'Gallery')
    for row in rows[0]:
        query, gallery = row['Query'], row['Gallery']
        fields = ('imname', 'idlocate', 'ishard', 'idname')
        assert query.shape == (1, 1)
        assert query.dtype.names == fields
        assert query[0, 0]['idlocate'].dtype in (np.uint8, np.uint16)
        assert query[0, 0]['ishard'].dtype == np.uint8
        assert gallery.shape == (1, size)
        assert gallery.dtype.names == fields[:3]
        shown = [entry['idlocate'].size == 4 for entry in gallery[0]]
        assert shown == sorted(shown, reverse=True)  # positives come first
        assert sum(shown) >= 1
        for entry in gallery[0][sum(shown) :]:
            for field in ('idlocate', 'ishard'):
                assert entry[field].shape == (1, 0)
                assert entry[field].dtype == np.float64


def test_galleries_say_the_same_as_the_pictures(made):
    root, plan = made
    boxes = boxes_of(root)
    index = {picture.name: picture for picture in plan.pictures}
    identity_of = {name: k for k, name in enumerate(plan.idnames)}
    pool = {plan.pictures[k].name for k in plan.test}
    own = 0
    for name, box, idname, gallery in protocol(root):
        assert box in boxes[name]
        where = {
            picture
            for picture in pool
            if identity_of[idname] in index[picture].people
        }
        positives = [entry for entry in gallery if entry[1]]
        assert {picture for picture, _ in positives} | {name} == where
        assert all(b in boxes[picture] for picture, b in positives)
        others = [picture for picture, b in gallery if not b]
        assert len(others) == len(set(others))
        assert set(others) <= pool - where
        own += name in [picture for picture, _ in positives]
    assert own == plan.size.own


def test_some_galleries_list_a_picture_twice(made):
    root, _ = made
    same_box, other_box = 0, 0
    for _, _, _, gallery in protocol(root):
        listed = Counter(picture for picture, _ in gallery)
        for picture, times in listed.items():
            if times > 1:
                boxes = [box for name, box in gallery if name == picture]
                same_box += boxes[0] == boxes[1]
                other_box += boxes[0] != boxes[1]
    assert same_box == 1
    assert other_box >= 1


def test_positives_are_the_same_in_every_gallery(made):
    root, _ = made
    small = protocol(root, 'train_test/TestG10', 'TestG10')
    for one, two in zip(small, protocol(root), strict=True):
        assert one[:3] == two[:3]
        assert [e for e in one[3] if e[1]] == [e for e in two[3] if e[1]]


@pytest.mark.parametrize(
    ('file', 'variable', 'count'),
    [('Occlusion', 'Occlusion1', 5), ('Resolution', 'Test_Size', 6)],
)
def test_subsets_are_queries_of_the_main_protocol(made, file, variable, count):
    root, _ = made
    main = [entry[:3] for entry in protocol(root)]
    subset = list(protocol(root, f'subset/{file}', variable))
    assert len(subset) == count
    assert all(entry[:3] in main for entry in subset)
    heights = sorted(box[3] for _, box, _ in main)
    if file == 'Resolution':
        found = sorted(entry[1][3] for entry in subset)
        assert found == heights[:count]
