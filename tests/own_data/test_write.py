import json
from dataclasses import replace

import pytest

from mmps.datasets.coco_person import read_coco_person
from mmps.datasets.errors import DatasetError
from mmps.errors import InputError
from mmps.own_data.scenes import Person, Scene
from mmps.own_data.split import Halves
from mmps.own_data.write import write_data_set

from .sources import save_picture


@pytest.fixture
def halves(tmp_path):
    def scene(name, *people):
        file = save_picture(tmp_path / 'source' / name)
        return Scene(file, name, 's', tuple(people))

    ann = Person((5, 5, 10.5, 20), 'ann')
    bob = Person((-3, 5, 10, 20), 'bob')
    outside = Person((60, 5, 10, 20), 'bob')
    return Halves(
        [scene('a/1.jpg', ann, Person((30, 5, 9, 9)))],
        [
            scene('a/2.jpg', outside, bob),
            scene(
                '3.jpg', Person((1, 1, 5, 5)), bob, Person((9, 9, 5, 5), 'x')
            ),
            scene('4.jpg'),
        ],
        (),
    )


@pytest.mark.parametrize('link', [False, True])
def test_what_is_written_is_read_again(link, halves, tmp_path):
    out = tmp_path / 'new' / 'mine'
    lines = write_data_set(out, halves, link=link, info=dict(seed=3))
    train, test = (
        read_coco_person(out, split, f'annotations/{split}.json')
        for split in ('train', 'test')
    )
    assert train.images[0].bboxes.tolist() == [
        [5, 5, 15.5, 25],
        [30, 5, 39, 14],
    ]
    assert train.images[0].identities == ('ann', None)
    assert [i.identities for i in test.images] == [
        ('bob',),
        (None, 'bob', 'x'),
        (),
    ]
    (query,) = test.queries
    assert query.identity == 'bob'
    assert test.images[query.image].bboxes.tolist().count(query.bbox.tolist())
    (gallery,) = test.protocols['all'].galleries
    assert len(gallery.positives) == 1
    for image in (*train.images, *test.images):
        source = tmp_path / 'source' / image.name
        assert (out / 'images' / image.name).is_symlink() == link
        assert (out / 'images' / image.name).read_bytes() == (
            source.read_bytes()
        )
    content = json.loads((out / 'annotations/test.json').read_text())
    assert content['info'] == {'seed': 3}
    assert content['images'][0]['width'] == 60
    assert lines == [
        'train: 1 pictures, 2 boxes, 1 of them of 1 identities',
        'test: 3 pictures, 4 boxes, 3 of them of 2 identities',
        'test: 1 boxes outside of their picture: left out',
        'test: 1 queries',
        'test: 1 people are in one picture alone: no query, nobody could find '
        'them',
    ]


def test_a_folder_that_holds_something_is_left_alone(halves, tmp_path):
    out = tmp_path / 'mine'
    out.mkdir()
    write_data_set(out, halves)
    before = sorted(out.rglob('*'))
    with pytest.raises(InputError, match='is there and not empty'):
        write_data_set(out, halves)
    assert sorted(out.rglob('*')) == before


def test_nothing_is_left_of_what_fails(halves, tmp_path):
    halves.test[0].file.write_bytes(b'no picture')
    with pytest.raises(DatasetError, match=r'2\.jpg: its size cannot be'):
        write_data_set(tmp_path / 'mine', halves)
    assert {path.name for path in tmp_path.iterdir()} == {'source'}


def test_one_name_for_two_pictures(halves, tmp_path):
    twice = replace(halves.test[1], name=halves.train[0].name)
    with pytest.raises(DatasetError, match="another picture is called 'a/1"):
        write_data_set(tmp_path / 'mine', replace(halves, test=[twice]))
