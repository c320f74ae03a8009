"""A stored index is used again, or refused when it is not the gallery's."""

import os
import shutil

import pytest

from mmps.datasets.errors import DatasetError
from mmps.inference import stored_index


@pytest.fixture
def gallery(files, tmp_path):
    folder = tmp_path / 'photos'
    folder.mkdir()
    for file in files[:3]:
        shutil.copy(file, folder)
    return folder


def test_the_second_time_nothing_is_computed(
    plain, gallery, tmp_path, monkeypatch
):
    path = tmp_path / 'index.npz'
    first = stored_index(plain, path, gallery)
    assert path.exists()
    assert len(first) > 0
    monkeypatch.setattr(plain.network, 'detect', None)
    again = stored_index(plain, path, [gallery])
    assert again.sources == first.sources
    assert (again.boxes.embeddings == first.boxes.embeddings).all()


def test_another_gallery_or_network_is_refused(
    plain, guided, gallery, files, grey, tmp_path
):
    path = tmp_path / 'index.npz'
    stored_index(plain, path, gallery)
    with pytest.raises(ValueError, match=r'other files \(3, .* has 1\); del'):
        stored_index(plain, path, files[7])
    with pytest.raises(ValueError, match='made by network'):
        stored_index(guided, path, gallery)
    with pytest.raises(ValueError, match=r'GalleryIndex\.save'):
        stored_index(plain, path, [gallery, grey])


def test_files_that_have_changed_since_are_named(plain, gallery, tmp_path):
    path = tmp_path / 'index.npz'
    stored_index(plain, path, gallery)
    changed = sorted(gallery.iterdir())[1]
    later = path.stat().st_mtime + 5
    os.utime(changed, (later, later))
    with pytest.raises(ValueError, match=f'is older than .*{changed.name}'):
        stored_index(plain, path, gallery)


def test_what_was_broken_is_remembered(plain, gallery, tmp_path):
    path = tmp_path / 'index.npz'
    broken = gallery / '0.jpg'
    broken.write_bytes(b'no image')
    with pytest.raises(DatasetError, match=r'0\.jpg: is no image'):
        stored_index(plain, path, gallery)
    assert not path.exists()
    first = stored_index(plain, path, gallery, skip_broken=lambda _: None)
    assert first.broken == (str(broken),)
    assert len(first.sources) == 3
    assert stored_index(plain, path, gallery).broken == first.broken
    other = gallery / '1.jpg'
    other.write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'other files \(4, .* has 5\)'):
        stored_index(plain, path, gallery)
    other.unlink()
    later = path.stat().st_mtime + 5
    os.utime(broken, (later, later))  # it may be whole now
    with pytest.raises(ValueError, match=r'is older than .*0\.jpg'):
        stored_index(plain, path, gallery)


def test_other_frames_of_a_video_are_refused(plain, video, tmp_path):
    path = tmp_path / 'index.npz'
    stored_index(plain, path, video, every=2)
    assert stored_index(plain, path, video, every=2).sources[1].frame == 2
    with pytest.raises(ValueError, match=r'other frames of .* than every 3'):
        stored_index(plain, path, video, every=3)


def test_a_damaged_index_is_not_replaced(plain, gallery, tmp_path):
    path = tmp_path / 'index.npz'
    path.write_bytes(b'my diary')
    with pytest.raises(ValueError, match='not a readable gallery index'):
        stored_index(plain, path, gallery)
    assert path.read_bytes() == b'my diary'
