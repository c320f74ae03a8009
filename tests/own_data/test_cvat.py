import pytest

from mmps.datasets.errors import DatasetError
from mmps.own_data.cvat import read_cvat

from .sources import save_picture

BOX = 'xtl="{}" ytl="5" xbr="{}" ybr="25"'
ANNA = '<attribute name="person_id">anna</attribute>'
IMAGES = f"""<?xml version="1.0"?>
<annotations><version>1.1</version>
<image id="0" name="gate/1.jpg" width="60" height="40">
  <box label="person" {BOX.format(1, 11)}>{ANNA}</box>
  <box label="person" {BOX.format(30, 40.5)}>
    <attribute name="person_id"></attribute></box>
  <box label="car" {BOX.format(3, 9)}></box>
  <polygon label="person" points="1,2;3,4;5,6"></polygon>
</image>
<image id="1" name="2.jpg" width="60" height="40"></image>
</annotations>"""
VIDEO = f"""<annotations>
<track id="0" label="person">
  <box frame="0" outside="0" {BOX.format(1, 11)}></box>
  <box frame="1" outside="0" {BOX.format(2, 12)}></box>
  <box frame="2" outside="1" {BOX.format(2, 12)}></box>
</track>
<track id="1" label="person">
  <box frame="2" outside="0" {BOX.format(3, 13)}>{ANNA}</box>
</track>
</annotations>"""


def read(tmp_path, text, name='door.xml', **options):
    (tmp_path / name).write_text(text)
    return read_cvat([tmp_path / name], tmp_path / 'pictures', **options)


def people(source):
    return [
        [(person.name, *person.bbox) for person in scene.people]
        for scene in source.scenes
    ]


@pytest.fixture
def pictures(tmp_path):
    save_picture(tmp_path / 'pictures/gate/1.jpg')
    save_picture(tmp_path / 'pictures/2.jpg')


@pytest.mark.usefixtures('pictures')
def test_pictures(tmp_path):
    source = read(tmp_path, IMAGES)
    assert people(source) == [
        [('anna', 1, 5, 10, 20), (None, 30, 5, 10.5, 20)],
        [],
    ]
    assert [(s.name, s.sequence) for s in source.scenes] == [
        ('gate/1.jpg', 'gate'),
        ('2.jpg', 'door'),
    ]
    assert source.notes == (
        "1 shapes with the label 'car': left out",
        '1 shapes that are no box (<polygon>): left out',
    )
    cars = read(tmp_path, IMAGES, label='car')
    assert people(cars) == [[(None, 3, 5, 6, 20)], []]


@pytest.mark.parametrize('folder', ['pictures', 'pictures/door'])
def test_a_video(folder, tmp_path):
    for frame in range(4):
        save_picture(tmp_path / folder / f'frame_{frame:06}.PNG')
    source = read(tmp_path, VIDEO)
    assert people(source) == [
        [('door-0', 1, 5, 10, 20)],
        [('door-0', 2, 5, 10, 20)],
        [('anna', 3, 5, 10, 20)],
        [],
    ]
    assert source.scenes[1].name == 'door/frame_000001.PNG'
    assert people(read(tmp_path, VIDEO, every=2)) == people(source)[::2]


def test_a_task_is_called_after_its_folder(tmp_path):
    save_picture(tmp_path / 'pictures/frame_000000.png')
    text = VIDEO.replace('frame="1"', 'frame="0"').replace(
        'frame="2"', 'frame="0"'
    )
    source = read(tmp_path, text, 'annotations.xml')
    assert source.scenes[0].sequence == tmp_path.name


@pytest.mark.usefixtures('pictures')
@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('</annotations>', '', 'cannot be read as XML'),
        ('annotations', 'other', 'has neither <image> nor <track>'),
        ('label="person"', 'label="man"', r"labels are \['car', 'man'\]"),
        ('2.jpg', '3.jpg', "names the picture '3.jpg', which is not in"),
        ('xtl="1"', 'xtl="?"', r"a box has xtl='\?', no number"),
        ('xtl="1"', 'xtl="11"', 'has no area'),
        ('xtl="1"', 'xtl="nan"', r"a box has xtl='nan', no number"),
        ('xbr="11"', 'xbr="1e9"', r"a box has xbr='1e9', no number"),
        ('xtl="1"', 'rotation="x" xtl="1"', r"rotation='x', no number"),
        ('?>', ' encoding="utf-7"?>', 'cannot be read as XML'),
        ('?>', ' encoding="nothing"?>', 'cannot be read as XML'),
        ('xtl="1"', 'rotation="9.5" xtl="1"', 'has a rotated box'),
    ],
)
def test_what_is_wrong_is_said(old, new, message, tmp_path):
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, IMAGES.replace(old, new))


def test_a_frame_without_its_picture(tmp_path):
    save_picture(tmp_path / 'pictures/frame_000000.png')
    with pytest.raises(DatasetError, match='frame 1 is not among the 1'):
        read(tmp_path, VIDEO)
    save_picture(tmp_path / 'pictures/frame_0.png')
    with pytest.raises(DatasetError, match='two pictures of frame 0'):
        read(tmp_path, VIDEO)
