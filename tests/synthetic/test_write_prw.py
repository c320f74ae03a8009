"""The files are read back with SciPy, field by field."""

from collections import Counter

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from mmps.structures import UNLABELED

from . import sets

VARIABLES = ('box_new', 'anno_file', 'anno_previous')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp('synthetic') / 'prw'
    return root, sets.make_prw(root)


def variables(root, picture):
    content = loadmat(root / 'annotations' / f'{picture.name}.mat')
    return {name: content[name] for name in VARIABLES if name in content}


def rows(root, picture):
    """Return the valid annotation (N, 5) of a frame."""
    found = variables(root, picture)
    return next(found[name] for name in VARIABLES if name in found)


def lines(root, name='query_info.txt'):
    return [line.split() for line in (root / name).read_text().splitlines()]


def test_frames_have_names_sizes_and_annotations(made):
    root, plan = made
    for picture in plan.pictures:
        image = cv2.imread(str(root / 'frames' / picture.name))
        camera = int(picture.name[1])
        assert picture.camera == camera
        size = (96, 120) if camera == 6 else (120, 160)
        assert image.shape[:2] == size
        found = rows(root, picture)
        assert found.shape == (len(picture.people), 5)
        assert found.dtype == np.float64
        expected = [
            -2 if identity == UNLABELED else plan.numbers[identity]
            for identity in picture.people
        ]
        assert found[:, 0].tolist() == expected
        assert len({tuple(row) for row in found[:, 1:]}) == len(found)
    assert {picture.camera for picture in plan.pictures} == {*range(1, 7)}


def test_all_three_variables_are_in_use(made):
    root, plan = made
    found = [tuple(variables(root, picture)) for picture in plan.pictures]
    counts = Counter(found)
    assert set(counts) == {
        ('box_new',),
        ('anno_file',),
        ('anno_previous',),
        ('box_new', 'anno_previous'),
    }
    both = plan.pictures[found.index(('box_new', 'anno_previous'))]
    older, valid = variables(root, both)['anno_previous'], rows(root, both)
    assert not np.array_equal(older, valid)


def test_boxes_reach_out_of_the_picture_only_on_the_left_and_above(made):
    root, plan = made
    below_zero = 0
    for picture in plan.pictures:
        _, x, y, w, h = rows(root, picture).T
        assert min(x.min(), y.min()) > -3.1
        assert (x + w <= picture.width + 1e-9).all()
        assert (y + h <= picture.height + 1e-9).all()
        assert min(w.min(), h.min()) > 0
        below_zero += (np.minimum(x, y) < 0).sum()
    assert below_zero > 0


def test_lists_of_frames_and_people(made):
    root, plan = made
    for half, chosen in (('train', plan.train), ('test', plan.test)):
        cell = loadmat(root / f'frame_{half}.mat')[f'img_index_{half}']
        names = [plan.pictures[k].name[:-4] for k in chosen]
        assert cell.shape == (len(names), 1)
        assert [row[0].item() for row in cell] == names
    train = loadmat(root / 'ID_train.mat')['ID_train']
    test = loadmat(root / 'ID_test.mat')['ID_test2']
    assert train.tolist() == [[1, 2, 3, 4, 6, 7, 8, 9, 932]]
    assert test.tolist() == [[5, *range(10, 20), 933]]


def test_one_person_is_twice_in_one_training_frame(made):
    _, plan = made
    twice = [
        k
        for k in plan.train
        for identity, count in Counter(plan.pictures[k].people).items()
        if identity != UNLABELED and count == 2
    ]
    assert len(twice) == 1


def test_training_identities_visit_test_frames_and_are_not_searched(made):
    root, plan = made
    numbers = Counter(
        int(number)
        for k in plan.test
        for number in rows(root, plan.pictures[k])[:, 0]
    )
    trained = set(plan.numbers[: plan.size.train.identities])
    visits = sum(numbers[number] for number in trained)
    assert visits == plan.size.visits
    assert not trained & {int(line[0]) for line in lines(root)}


def test_queries_are_boxes_of_test_frames(made):
    root, plan = made
    index = {plan.pictures[k].name: plan.pictures[k] for k in plan.test}
    exact, single = 0, 0
    for number, *box, frame in lines(root):
        found = rows(root, index[f'{frame}.jpg'])
        mine = found[found[:, 0] == int(number), 1:]
        box = np.array(box, dtype=np.float64)
        exact += bool((mine == box).all())
        single += bool((mine.astype('f4') == box.astype('f4')).all())
    count = len(plan.queries)
    assert len(lines(root)) == single == count
    assert count // 2 < exact < count  # a few have fewer digits


def test_query_files_end_their_lines_as_published(made):
    root, plan = made
    regular = (root / 'query_info.txt').read_bytes()
    mini = (root / 'prwmini_query_info.txt').read_bytes()
    assert regular.count(b'\r\n') == regular.count(b'\n') == len(plan.queries)
    assert mini.count(b'\n') == plan.size.probes
    assert b'\r' not in mini
    assert {*mini.decode().split('\n')} < {*regular.decode().split('\r\n')}
    assert all(len(line) == 6 for line in lines(root))
