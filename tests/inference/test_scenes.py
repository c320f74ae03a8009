"""Which pictures a gallery has, in which order."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mmps.datasets.errors import DatasetError
from mmps.inference import Source
from mmps.inference.match_text import other_files
from mmps.inference.scenes import (
    again,
    as_scene,
    frame_at,
    listed,
    listing,
    num_scenes,
    scenes,
    video_length,
)


@pytest.fixture
def folder(tmp_path):
    names = ('b.JPG', 'a/z.png', 'a/notes.txt', 'c.webp', 'a/b/d.tif')
    for name in (*names, 'a/c.MP4'):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x')
    return tmp_path / 'photos'


def relative(paths, folder):
    return [str(Path(path).relative_to(folder)) for path in paths]


def test_a_folder_is_its_images_and_videos_sorted(folder):
    found = listed(folder)
    names = ['a/b/d.tif', 'a/c.MP4', 'a/z.png', 'b.JPG', 'c.webp']
    assert relative(found, folder) == names
    assert listed(str(folder)) == found


def test_other_files_of_folders_are_told(folder):
    found = listing([folder / 'a', folder / 'b.JPG', folder / 'a'])
    assert relative(found.others, folder) == ['a/notes.txt'] * 2
    assert len(found.items) == 7
    assert listing(folder / 'b.JPG').others == []


@pytest.mark.parametrize('kind', ['mp4', 'png'])
def test_a_name_that_opencv_would_crash_on_is_left_out(kind, folder):
    name = f'caf\udce9.{kind}'  # of another encoding than UTF-8
    (folder / name).write_bytes(b'x')
    found = listing(folder)
    assert relative(found.others, folder) == ['a/notes.txt', name]
    assert len(found.items) == 5
    assert f'caf\\udce9.{kind} (a name in' in other_files(found.others)
    with pytest.raises(DatasetError, match=r'caf.udce9.*no UTF-8.*rename it'):
        listing([folder / name])


def test_a_list_keeps_its_order_and_mixes(folder, grey):
    gallery = [grey, folder / 'c.webp', folder / 'a', str(folder / 'b.JPG')]
    pixels, *paths = listed(gallery)
    assert pixels is grey
    names = ['c.webp', 'a/b/d.tif', 'a/c.MP4', 'a/z.png', 'b.JPG']
    assert relative(paths, folder) == names
    paths.pop(2)
    found = list(scenes([pixels, *paths], every=1))
    assert [s.source.image for s in found] == [None, *paths]
    assert found[0].pixels is grey
    assert found[1].pixels is None


@pytest.mark.parametrize(
    ('gallery', 'error', 'message'),
    [
        ([], ValueError, 'empty list'),
        ('nowhere.jpg', FileNotFoundError, r'nowhere\.jpg: no such file'),
        (3, TypeError, 'got int'),
        (['nowhere', 3], FileNotFoundError, 'nowhere: no such file'),
        (np.zeros((4, 5, 3)), TypeError, 'must be uint8.* got float64'),
        (np.zeros((4, 5), np.uint8), ValueError, r'\(H, W, 3\).*\(4, 5\)'),
        (np.zeros((4, 5, 4), np.uint8), ValueError, r'got \(4, 5, 4\)'),
        ([np.zeros((0, 5, 3), np.uint8)], ValueError, r'got \(0, 5, 3\)'),
    ],
)
def test_what_is_no_picture_is_refused(gallery, error, message):
    with pytest.raises(error, match=message):
        listed(gallery)


def test_an_empty_folder_is_named(folder):
    (folder / 'a/b/d.tif').unlink()
    with pytest.raises(ValueError, match=r'a/b: .*no image .*\.jpg'):
        listed(folder / 'a/b')
    with pytest.raises(FileNotFoundError, match='is a folder; give an image'):
        as_scene(folder)


@pytest.mark.parametrize('every', [1, 2, 4, 9])
def test_every_so_many_frames_with_their_times(every, video, files):
    found = list(scenes([video], every))
    wanted = range(0, 6, every)
    assert [s.source.frame for s in found] == list(wanted)
    times = [s.source.timestamp for s in found]
    assert times == pytest.approx([i / 10 for i in wanted])
    for scene, number in zip(found, wanted, strict=True):
        expected = cv2.resize(cv2.imread(files[number]), (320, 240))
        off = np.abs(scene.pixels.astype(int) - expected).mean()
        others = np.abs(scene.pixels.astype(int) - expected[:, ::-1]).mean()
        assert off < 3 < others  # colours are rounded, no more


def test_a_video_that_cannot_be_opened_is_named(tmp_path):
    path = tmp_path / 'broken.mp4'
    path.write_bytes(b'no video')
    with pytest.raises(DatasetError, match=r'broken\.mp4: is no video'):
        list(scenes(listed(path), every=1))
    broken = []
    assert list(scenes([str(path)], 1, broken.append)) == []
    assert [error.file for error in broken] == [str(path)]
    with pytest.raises(DatasetError, match=r'broken\.mp4: .* at 0 seconds'):
        frame_at(str(path), 0)


def test_a_gallery_says_about_how_many_pictures_it_has(video, files, grey):
    assert num_scenes([files[0], grey, video], 1) == 8
    assert num_scenes([video, video], 4) == 4
    assert num_scenes([], 1) == 0


def test_a_frame_can_be_chosen_by_its_time(video):
    assert video_length(video) == pytest.approx(0.6)
    frames = [scene.pixels for scene in scenes([video], 1)]
    for number in (0, 3, 5):
        found = frame_at(video, number / 10)
        np.testing.assert_array_equal(found, frames[number])
    with pytest.raises(DatasetError, match='at 9 seconds'):
        frame_at(video, 9)


def test_pictures_are_read_again(video, files):
    frames = {s.source: s.pixels for s in scenes([video], 1)}
    sources = list(frames)
    wanted = [sources[4], Source(files[2]), sources[1], sources[4]]
    found = dict(again(wanted))
    assert found.keys() == {0, 1, 2, 3}
    for number in (0, 2, 3):
        assert found[number].source == wanted[number]
        np.testing.assert_array_equal(
            found[number].pixels, frames[wanted[number]]
        )
    assert found[1].source.image == files[2]
    assert list(again([])) == []


def test_pictures_that_are_gone_are_named(video, tmp_path):
    with pytest.raises(ValueError, match='given as pixels'):
        list(again([Source()]))
    with pytest.raises(FileNotFoundError, match=r'gone\.jpg'):
        list(again([Source(str(tmp_path / 'gone.jpg'))]))
    with pytest.raises(ValueError, match=r'clip\.avi: has no frame 6'):
        list(again([Source(video, 2, 0.2), Source(video, 6, 0.6)]))
