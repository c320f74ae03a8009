import copy

import pytest

from mmps.datasets.coco_person import CocoPersonDataset, read_coco_person
from mmps.datasets.errors import DatasetError

from .layouts import example_in_docs, write_coco


def read(root, content, split='test', protocols=None):
    write_coco(root, content, split)
    return read_coco_person(
        root, split, f'annotations/{split}.json', protocols=protocols
    )


def test_the_example_of_the_docs(tmp_path):
    records = read(tmp_path, example_in_docs())
    assert [i.name for i in records.images] == [
        'gate.jpg',
        'hall.jpg',
        'yard.jpg',
    ]
    assert [i.identities for i in records.images] == [
        ('anna', None),
        ('anna', '7'),
        ('7',),
    ]
    assert records.images[2].bboxes.tolist() == [[90.5, 20, 151.5, 175]]
    assert [(q.image, q.identity) for q in records.queries] == [
        (0, 'anna'),
        (2, '7'),
    ]
    assert list(records.protocols) == ['indoors', 'all']
    indoors, full = records.protocols.values()
    assert [g.images.tolist() for g in indoors.galleries] == [[1], [1]]
    assert [g.bboxes.tolist() for g in indoors.galleries] == [
        [[310, 35, 368, 184]],
        [[10, 25, 80, 195]],
    ]
    assert [g.images.tolist() for g in full.galleries] == [[0], [2]]
    assert [g.positives.tolist() for g in full.galleries] == [[1], [1]]
    assert full.galleries[0].complement
    assert not indoors.galleries[0].complement


def test_rows_follow_the_sorted_names(tmp_path):
    records = read(tmp_path, example_in_docs(), 'train')
    assert records.identity_names == ['7', 'anna']
    assert records.protocols == {}


def test_as_a_data_set_with_folders_of_its_own(tmp_path):
    write_coco(tmp_path, example_in_docs())
    (tmp_path / 'images').rename(tmp_path / 'pictures')
    dataset = CocoPersonDataset(
        data_root=str(tmp_path),
        split='train',
        ann_file='annotations/test.json',
        img_dir='pictures',
    )
    item = dataset.get_data_info(0)
    assert item['img_path'] == str(tmp_path / 'pictures/gate.jpg')
    assert [i['instance_id'] for i in item['instances']] == [1, -1]
    assert dataset.metainfo['identity_names'] == ['7', 'anna']


def test_a_gallery_without_the_person(tmp_path):
    content = example_in_docs()
    content['protocols']['indoors'][0]['gallery'] = [3]
    gallery = read(tmp_path, content).protocols['indoors'].galleries[0]
    assert gallery.images.tolist() == [2]
    assert gallery.positives.tolist() == []
    assert gallery.bboxes.shape == (0, 4)


def changed(*path, value):
    content = copy.deepcopy(example_in_docs())
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


BOX = ('annotations', 0, 'bbox')
INDOORS = ('protocols', 'indoors', 0)
INDOORS_10 = dict(query=10, gallery=[2])


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (changed(*BOX, value=[1, 2, 3]), r'annotations\[0\]: bbox'),
        (changed(*BOX, value=[1, 2, 3, float('nan')]), 'four finite'),
        (changed(*BOX, value=[1, 2, 3, 10**400]), 'four finite'),
        (changed(*BOX, value=[1, 2, 'a', 4]), 'four finite'),
        (changed(*BOX, value=[1, 2, 0, 4]), 'has no area'),
        (changed(*BOX, value=[-5, 2, 5, 4]), 'lies outside its image'),
        (changed(*BOX, value=[1, -9, 5, 4]), 'lies outside its image'),
        (changed(*BOX, value=[1e308, 2, 1e308, 4]), 'lies outside its image'),
        (changed(*BOX, value=[9, 2, 1e-30, 4]), 'lies outside its image'),
        (changed('annotations', 0, 'image_id', value=9), '9 is no image'),
        (changed('annotations', 0, 'iscrowd', value=1), 'iscrowd'),
        (changed('annotations', 0, 'person_id', value=1.5), 'person_id 1.5'),
        (changed('annotations', 0, 'person_id', value=True), 'person_id True'),
        (changed('annotations', 0, 'id', value=11), "'?11'? is listed 2"),
        (changed('annotations', 1, value=7), r"annotations\[1\]: 'id'"),
        (changed('images', 0, 'id', value='1'), r"images\[0\]: 'id' must be"),
        (changed('images', 0, 'file_name', value='hall.jpg'), 'listed 2'),
        (changed('images', value={}), "no list 'images'"),
        (changed('queries', value=5), "no list 'queries'"),
        (changed('queries', value=[10, 10]), 'query 10 is listed 2 times'),
        (
            changed('protocols', 'indoors', value=[INDOORS_10, INDOORS_10]),
            "'indoors': query 10 is listed 2 times",
        ),
        (changed('queries', value=[10, 14, 11]), 'query 11 is no id'),
        (changed('queries', 0, value=11), 'query 11 is no id'),
        (changed('queries', 0, value=99), 'query 99 is no id'),
        (changed('queries', 0, value=[1]), r'query \[1\] is no id'),
        (changed('protocols', value=[]), "'protocols' must map"),
        (changed('protocols', 'all', value=[]), "'all' is taken"),
        (changed('protocols', 'indoors', value=3), "'indoors' is no list"),
        (changed(*INDOORS, value=3), 'query None is no id'),
        (changed(*INDOORS, 'gallery', value=None), "no list 'gallery'"),
        (changed(*INDOORS, 'gallery', value=[9]), 'gallery image 9 is no'),
        (changed(*INDOORS, 'gallery', value=[2, 2]), 'is listed 2 times'),
        (changed(*INDOORS, 'gallery', value=[1, 2]), 'the query itself'),
    ],
)
def test_what_is_wrong_is_said(tmp_path, content, message):
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, content)


def test_a_file_that_is_no_json(tmp_path):
    write_coco(tmp_path, example_in_docs())
    for text in ('', '{', '[]', '[' * 100000):
        (tmp_path / 'annotations/test.json').write_text(text)
        with pytest.raises(DatasetError, match=r'test\.json'):
            read_coco_person(tmp_path, 'test', 'annotations/test.json')
    with pytest.raises(DatasetError, match=r'none\.json: cannot be read'):
        read_coco_person(tmp_path, 'test', 'none.json')


def test_a_protocol_that_is_not_there(tmp_path):
    with pytest.raises(DatasetError, match=r"'G50' is none of \['indoors'"):
        read(tmp_path, example_in_docs(), protocols=['G50'])


@pytest.mark.parametrize(
    'nobody',
    [
        *(-1, -2, '-1', '', ' ', 'None', 'none', 'null', 'NULL', 'nan', 'NaN'),
        float('nan'),
    ],
)
def test_what_exports_write_for_nobody_is_nobody(nobody, tmp_path):
    content = changed('annotations', 4, 'person_id', value=nobody)
    content['annotations'][3]['person_id'] = nobody
    content['queries'] = [10]
    content['protocols'] = {}
    for split in ('train', 'test'):
        records = read(tmp_path, content, split)
        assert records.identity_names == ['anna']
        names = [i.identities for i in records.images]
        assert names == [('anna', None), ('anna', None), (None,)]
        (note,) = records.notes
        assert 'person_id names nobody in 2 annotations' in note
        assert f'({nobody!r} 2)' in note


@pytest.mark.parametrize('name', ['0', 0, 'nobody', '-', '1-2', 'Nan cy'])
def test_other_names_are_people(name, tmp_path):
    content = changed('annotations', 0, 'person_id', value=name)
    assert str(name) in read(tmp_path, content, 'train').identity_names


@pytest.mark.parametrize('queries', [None, []])
def test_without_queries_detection_is_left(queries, tmp_path):
    content = example_in_docs()
    del content['protocols'], content['queries']
    if queries is not None:
        content['queries'] = queries
    records = read(tmp_path, content)
    assert records.protocols == {}
    assert records.queries == ()
    assert "no 'queries': detection alone" in records.notes[0]
    assert read(tmp_path, content, protocols=[]).notes == ()
    with pytest.raises(DatasetError, match="'all' needs 'queries'"):
        read(tmp_path, content, protocols=['all'])
