import json

import pytest

from mmps.datasets.errors import DatasetError
from mmps.own_data.coco import read_coco

from .sources import write_coco_source

BOX = [1, 2, 10, 20]


def names(source):
    return [[p.name for p in scene.people] for scene in source.scenes]


def test_people_of_each_picture(tmp_path):
    file = write_coco_source(
        tmp_path,
        [
            ('a/1.jpg', BOX, dict(person_id=7)),
            ('a/1.jpg', [30.5, 2, 10, 20], dict(person_id=None)),
            ('b/2.jpg', BOX, dict(person_id='7')),
            ('b/2.jpg', BOX, dict(person_id=-1)),
            ('b/2.jpg', BOX, dict(person_id=8.0)),
            ('b/2.jpg', BOX, {}),
        ],
    )
    source = read_coco(file, tmp_path / 'pictures')
    assert names(source) == [['7', None], ['7', None, '8', None]]
    assert [scene.sequence for scene in source.scenes] == ['a', 'b']
    assert source.scenes[0].people[1].bbox == (30.5, 2, 10, 20)
    assert source.notes == ()


def test_identities_in_an_object_and_other_names_of_nobody(tmp_path):
    people = [
        ('1.jpg', BOX, dict(attributes=dict(who=name)))
        for name in ('anna', '5555', 'staff')
    ]
    file = write_coco_source(tmp_path, people)
    source = read_coco(
        file,
        tmp_path / 'pictures',
        id_field='attributes.who',
        nobody=['5555', 'staff'],
    )
    assert names(source) == [['anna', None, None]]
    (note,) = read_coco(file, tmp_path / 'pictures').notes
    assert "no annotation has an identity in 'person_id'" in note


def test_what_is_left_out_is_counted(tmp_path):
    file = write_coco_source(
        tmp_path,
        [
            ('1.jpg', BOX, dict(person_id=1, category_id=3)),
            ('1.jpg', BOX, dict(person_id=2, category_id=4)),
            ('1.jpg', BOX, dict(person_id=3, category_id=3, iscrowd=1)),
            ('1.jpg', [1, 2, 0.5, 9], dict(person_id=4, category_id=3)),
        ],
        categories=[dict(id=3, name='person'), dict(id=4, name='car')],
    )
    source = read_coco(file, tmp_path / 'pictures')
    assert names(source) == [['1']]
    assert source.notes == (
        '1 annotations of another category: left out',
        '1 annotations marked iscrowd or ignore: left out',
        '1 annotations narrower than a pixel: left out',
    )
    assert names(read_coco(file, tmp_path / 'pictures', category='car')) == [
        ['2']
    ]
    with pytest.raises(DatasetError, match=r"no category 'dog', it has \['c"):
        read_coco(file, tmp_path / 'pictures', category='dog')


def test_a_path_of_another_machine_counts_by_its_last_part(tmp_path):
    file = write_coco_source(tmp_path, [('1.jpg', BOX, dict(person_id=1))])
    content = json.loads(file.read_text())
    content['images'][0]['file_name'] = '/raid/someone/Image/SSM/1.jpg'
    file.write_text(json.dumps(content))
    (scene,) = read_coco(file, tmp_path / 'pictures').scenes
    assert (scene.name, scene.file.name) == ('1.jpg', '1.jpg')
    content['images'][0]['file_name'] = '../people.json'
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"'\.\./people\.json', which is n"):
        read_coco(file, tmp_path / 'pictures')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(images=3), "no list 'images' of objects"),
        (dict(annotations=[4]), "no list 'annotations' of objects"),
        (dict(images=[dict(id=1)]), r'images\[0\] has no id or file_name'),
        (dict(images=[]), 'annotations of image 0, which is none'),
        (
            dict(images=[dict(id=[1], file_name='1.jpg')]),
            r'images\[0\] has no id or file_name',
        ),
        (
            dict(annotations=[dict(image_id={}, bbox=BOX)]),
            r'annotations\[0\]: image_id {} is no id',
        ),
        (dict(categories=[3]), "'categories' is no list of objects"),
        (dict(categories={'a': 1}), "'categories' is no list of objects"),
        (
            dict(images=[dict(id=0, file_name='x' * 5000)]),
            'names the picture .*, which is not in',
        ),
    ],
)
def test_files_that_are_wrong(change, message, tmp_path):
    file = write_coco_source(tmp_path, [('1.jpg', BOX, dict(person_id=1))])
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(DatasetError, match=message):
        read_coco(file, tmp_path / 'pictures')
    file.write_text('{')
    with pytest.raises(DatasetError, match='cannot be read as JSON'):
        read_coco(file, tmp_path / 'pictures')


@pytest.mark.parametrize(
    ('bbox', 'name', 'message'),
    [
        ([1, 2, 3], 1, r'annotations\[0\]: bbox \[1, 2, 3\] is not four'),
        ([1, 2, 3, 10**400], 1, 'is not four numbers'),
        ([1, 2, 3, float('nan')], 1, r'annotations\[0\]: .* is not finite'),
        ([1, 2, 3, 1e9], 1, 'or reaches beyond any picture'),
        (BOX, 1.5, r'annotations\[0\]: person_id 1\.5 is neither'),
        (BOX, True, 'person_id True is neither'),
        (BOX, ['a'], r"person_id \['a'\] is neither"),
    ],
)
def test_annotations_that_are_wrong(bbox, name, message, tmp_path):
    file = write_coco_source(tmp_path, [('1.jpg', bbox, dict(person_id=name))])
    with pytest.raises(DatasetError, match=message):
        read_coco(file, tmp_path / 'pictures')
