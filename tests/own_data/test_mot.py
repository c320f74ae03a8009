import pytest

from mmps.datasets.errors import DatasetError
from mmps.own_data.mot import read_mot

from .sources import GT, write_mot


def people(source):
    return [
        [(person.name, *person.bbox) for person in scene.people]
        for scene in source.scenes
    ]


def test_a_sequence(tmp_path):
    source = read_mot([write_mot(tmp_path / 'gate')])
    assert [scene.name for scene in source.scenes] == [
        f'gate/00000{frame}.jpg' for frame in GT
    ]
    assert {scene.sequence for scene in source.scenes} == {'gate'}
    assert source.scenes[0].file == tmp_path / 'gate/img1/000001.jpg'
    assert people(source) == [
        [('gate-1', 5, 5, 10, 20), ('gate-2', 30, 5, 10, 20)],
        [('gate-1', 6, 5, 10, 20)],
        [('gate-1', 7, 5, 10, 20)],
        [(None, 7, 5, 10, 20)],
    ]
    assert sorted(source.notes) == [
        '1 boxes less than 25% visible: left out',
        '1 boxes of class 7: left out',
        '1 boxes with flag 0: left out',
    ]


def test_options(tmp_path):
    for name in ('a', 'b'):
        write_mot(tmp_path / 'all' / name)
    source = read_mot(
        [tmp_path / 'all'],
        every=2,
        classes=[1, 7],
        min_visibility=0,
        global_ids=True,
    )
    assert [scene.name for scene in source.scenes] == [
        'a/000001.jpg',
        'a/000003.jpg',
        'b/000001.jpg',
        'b/000003.jpg',
    ]
    names = [[name for name, *_ in scene] for scene in people(source)]
    assert names == [['1', '2'], ['1', '4']] * 2


def test_the_format_of_2015_has_no_class(tmp_path):
    gt = {1: ['1,5,5,10,20,1,3.5,7.2,0'], 2: ['1,5,5,10,20,1,-1,-1,-1']}
    source = read_mot([write_mot(tmp_path / 'old', gt)])
    assert [len(scene) for scene in people(source)] == [1, 1]


def test_the_folder_of_pictures_may_have_another_name(tmp_path):
    folder = write_mot(tmp_path / 'gate', images='frames')
    with pytest.raises(DatasetError, match=r'img1: has no picture whose name'):
        read_mot([folder])
    (folder / 'seqinfo.ini').write_text('[Sequence]\nimDir=frames\n')
    assert len(read_mot([folder]).scenes) == len(GT)


@pytest.mark.parametrize(
    ('row', 'message'),
    [
        ('x,5,5,10,20', 'line 1 is not "frame, id'),
        ('1,5,5,10', 'line 1 is not "frame, id'),
        ('1,5,5,nan,20', 'line 1 is not "frame, id'),
        ('1,5,5,0,20', 'line 1: a box of 0 x 20 pixels'),
        ('1.5,5,5,10,20', 'line 1: frame or id is no whole number'),
        ('1,5,5,10,1e300', r'line 1: .* reaches beyond any picture'),
    ],
)
def test_lines_that_are_wrong(row, message, tmp_path):
    folder = write_mot(tmp_path / 'gate', {1: [row]})
    with pytest.raises(DatasetError, match=message):
        read_mot([folder])


@pytest.mark.parametrize(
    'name', ['../gate/img1', '..', '%(x)s', '', '/', 'a\0b', '9' * 300]
)
def test_a_folder_of_pictures_that_is_elsewhere(name, tmp_path):
    folder = write_mot(tmp_path / 'gate')
    (folder / 'seqinfo.ini').write_text(f'[Sequence]\nimDir={name}\n')
    with pytest.raises(DatasetError, match=r'seqinfo\.ini: imDir=.* is not'):
        read_mot([folder])


def test_a_frame_without_its_picture(tmp_path):
    folder = write_mot(tmp_path / 'gate')
    (folder / 'img1/000002.jpg').unlink()
    with pytest.raises(DatasetError, match=r'line 3: no picture of frame 2'):
        read_mot([folder])


def test_a_folder_that_is_no_sequence(tmp_path):
    with pytest.raises(DatasetError, match=r'is no sequence \(gt/gt\.txt'):
        read_mot([tmp_path])
    with pytest.raises(ValueError, match='--every must be at least 1'):
        read_mot([tmp_path], every=0)
