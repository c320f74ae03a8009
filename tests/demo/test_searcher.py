import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmps.demo import searcher as module
from mmps.demo.searcher import Searcher, files_uploaded, gallery_in
from mmps.inference import Where
from mmps.inference.scenes import video_scenes


class Counting:
    """An inferencer that counts galleries."""

    def __init__(self, inferencer):
        self._inferencer = inferencer
        self.indexed = 0

    def __getattr__(self, name):
        return getattr(self._inferencer, name)

    def index(self, *args, **kwargs):
        self.indexed += 1
        return self._inferencer.index(*args, **kwargs)


@pytest.fixture
def query(searcher, examples):
    chosen = examples.queries[0]
    return searcher.query(chosen.image).with_box(chosen.box)


def test_people_are_those_of_the_network(searcher, inferencer, examples):
    image = examples.queries[0].image
    query = searcher.query(image)
    expected = inferencer.index(image).boxes.bboxes
    assert len(expected) > 0
    np.testing.assert_allclose(query.people, expected, atol=1e-4)
    assert (query.picture == cv2.imread(image)).all()
    assert query.name in image


def test_what_is_found_is_what_the_inferencer_finds(
    searcher, inferencer, examples, query
):
    found = searcher.search(query, examples.gallery, top=7)
    chosen = examples.queries[0]
    expected = inferencer.search(*chosen, examples.gallery, top=7)
    assert [group.matches for group in found.groups] == [
        (match,) for match in expected
    ]
    assert found.num_images == len(examples.gallery)
    assert found.num_people == len(inferencer.index(examples.gallery))
    for match, picture in zip(expected, found.pictures, strict=True):
        assert (picture == cv2.imread(match.source.image)).all()


def test_the_less_similar_are_left_out(searcher, examples, query):
    every = searcher.search(query, examples.gallery, top=10).groups
    least = every[3].best.similarity
    some = searcher.search(query, examples.gallery, least=least).groups
    assert some == [g for g in every if g.best.similarity >= least]
    assert not searcher.search(query, examples.gallery, least=1.1).groups


def test_a_gallery_is_gone_through_once(
    inferencer, examples, query, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, 'KEPT', 2)
    counting = Counting(inferencer)
    searcher, begun = Searcher(counting), []
    galleries = [examples.gallery[:1], examples.gallery[1:2]]
    other = str(tmp_path / 'other.jpg')
    shutil.copy(examples.gallery[2], other)

    def begin(pictures, total):
        begun.append(total)
        return pictures

    def indexed(files):
        before = counting.indexed
        searcher.search(query, files, progress=begin)
        return counting.indexed - before

    assert [indexed(galleries[0]) for _ in range(3)] == [1, 0, 0]
    assert [indexed(galleries[1]) for _ in range(2)] == [1, 0]
    assert indexed([other]) == 1  # the first one has to go
    assert [indexed(galleries[1]), indexed(galleries[0])] == [0, 1]
    assert indexed([other]) == 1
    cv2.imwrite(other, cv2.imread(examples.gallery[3]))
    assert indexed([other]) == 1  # it has changed
    assert begun == [1] * 6


def test_embeddings_go_with_the_pictures(searcher, examples, query, tmp_path):
    other = tmp_path / 'other.jpg'
    shutil.copy(examples.gallery[0], other)
    searcher.search(query, [str(other)])
    other.unlink()
    searcher.search(query, examples.gallery[:1])
    (kept,) = searcher._kept.values()
    assert kept.sources[0].image == examples.gallery[0]


def test_frames_of_a_video(searcher, query, clip):
    found = searcher.search(query, [clip], every=2, top=50)
    assert found.num_images == 3
    # 0.2 seconds lie between them
    (group,) = found.groups
    frames = [match.source.frame for match in group.matches]
    assert len(frames) > 1
    assert set(frames) <= {0, 2, 4}
    assert len(found.pictures) == 1
    assert found.pictures[0].shape == (240, 320, 3)


def test_frames_are_grouped_before_the_first_are_taken(searcher, query, clip):
    (one,) = searcher.search(query, [clip], every=2, top=1).groups
    (all_of_them,) = searcher.search(query, [clip], every=2, top=50).groups
    assert len(one.matches) == len(all_of_them.matches) > 1


def test_appearances_far_apart_are_two(searcher, query, clip, monkeypatch):
    monkeypatch.setattr(module, 'GAP', 0.1)
    found = searcher.search(query, [clip], every=2, top=50)
    assert len(found.groups) > 1
    assert {len(group.matches) for group in found.groups} == {1}


def test_a_frame_of_a_video_is_a_query(searcher, examples, clip):
    for number in (0, 3):
        picture = searcher.query(clip, number / 10).picture
        shown = cv2.imread(examples.gallery[number]).astype(int)
        assert np.abs(picture - shown).mean() < 3  # colours are rounded
    with pytest.raises(ValueError, match='at 7 seconds'):
        searcher.query(clip, 7)


def test_a_query_guided_network_reranks(
    searcher, inferencer, examples, query, monkeypatch
):
    asked = []
    monkeypatch.setattr(type(inferencer), 'query_guided', True)
    monkeypatch.setattr(
        *(inferencer, 'search'), lambda *_, **how: asked.append(how) or []
    )
    searcher.search(query, examples.gallery[:1], top=3)
    assert asked == [dict(top=3, rerank=module.RERANK, where=None)]


def test_somebody_must_be_picked(searcher, examples, query):
    with pytest.raises(ValueError, match='no picture yet'):
        searcher.search(None, examples.gallery)
    nobody = searcher.query(examples.queries[0].image)
    with pytest.raises(ValueError, match='nobody is picked yet'):
        searcher.search(nobody, examples.gallery)


def test_what_is_no_image_is_named(searcher, tmp_path):
    wrong = tmp_path / 'wrong.png'
    wrong.write_text('no image')
    with pytest.raises(ValueError, match=r'wrong\.png is no image'):
        searcher.query(wrong)
    thin = tmp_path / 'thin.png'
    cv2.imwrite(str(thin), np.zeros((200, 1, 3), np.uint8))
    with pytest.raises(ValueError, match=r'thin\.png has 1 x 200 pixels'):
        searcher.query(thin)


def test_what_cannot_be_read_is_left_out_and_told(
    searcher, examples, query, tmp_path
):
    wrong = tmp_path / 'wrong.png'
    wrong.write_text('no image')
    files = [examples.gallery[0], str(wrong)]
    found = searcher.search(query, files)
    assert found.left_out == (str(wrong),)
    assert found.groups == searcher.search(query, files[:1]).groups


def test_a_folder_is_searched_with_those_in_it(examples, tmp_path):
    (tmp_path / 'deep/er').mkdir(parents=True)
    shutil.copy(examples.gallery[0], tmp_path / 'deep/er/b.jpg')
    shutil.copy(examples.gallery[0], tmp_path / 'a.jpg')
    (tmp_path / 'notes.txt').write_text('no image')
    expected = [str(tmp_path / name) for name in ('a.jpg', 'deep/er/b.jpg')]
    assert gallery_in(f' {tmp_path} ') == expected
    assert gallery_in(str(tmp_path / 'a.jpg')) == expected[:1]


@pytest.mark.parametrize(
    ('folder', 'error', 'message'),
    [
        (None, ValueError, 'type the path'),
        ('  ', ValueError, 'type the path'),
        ('{tmp}/none', FileNotFoundError, 'none: no such file'),
        ('{tmp}', ValueError, 'hold no image'),
    ],
)
def test_a_bad_folder_is_named(folder, error, message, tmp_path):
    with pytest.raises(error, match=message):
        gallery_in(folder and folder.format(tmp=tmp_path))


def test_uploads_are_images_and_videos(examples, tmp_path):
    assert files_uploaded(examples.gallery[:2]) == examples.gallery[:2]
    for nothing in (None, []):
        with pytest.raises(ValueError, match='gallery is empty'):
            files_uploaded(nothing)
    with pytest.raises(ValueError, match=r'notes\.txt is neither'):
        files_uploaded([*examples.gallery[:1], '/somewhere/notes.txt'])
    with pytest.raises(ValueError, match=r'a\.jpg is deleted already'):
        files_uploaded([str(tmp_path / 'a.jpg')])


def test_the_query_is_read_as_the_gallery_is(searcher, examples, tmp_path):
    with Image.open(examples.queries[0].image) as image:
        exif = image.getexif()
        exif[0x112] = 6  # a camera says: turned by 90 degrees
        turned = tmp_path / 'turned.jpg'
        image.convert('RGB').save(turned, exif=exif)
    query = searcher.query(turned)
    assert cv2.imread(str(turned)).shape != query.picture.shape
    found = searcher.search(
        query.with_box((5, 5, 60, 100)), [str(turned)], top=1
    )
    assert found.pictures[0].shape == query.picture.shape


def test_a_picture_that_is_cut_short_is_refused(searcher, tmp_path):
    path = tmp_path / 'a.jpg'
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3))
    cv2.imwrite(str(path), pixels)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r'^a\.jpg is no image'):
        searcher.query(path)


def test_a_frame_that_is_too_large_is_not_decoded(
    searcher, tmp_path, monkeypatch
):
    class Video:
        def __init__(self, path):
            pass

        def get(self, what):
            return 20_000.0

        def read(self):
            raise AssertionError('decoded')

        def release(self):
            pass

        grab = read

    monkeypatch.setattr(cv2, 'VideoCapture', Video)
    path = str(tmp_path / 'a.mp4')
    with pytest.raises(ValueError, match=r'a\.mp4: has more than 100 mill'):
        searcher.query(path, 1.0)
    with pytest.raises(ValueError, match=r'a\.mp4: has more than 100 mill'):
        list(video_scenes(path, lambda number: True))


def test_an_archive_is_searched_where_it_is_asked(
    searcher, inferencer, query, archive
):
    gallery = gallery_in(f' {archive.folder} ')
    for where in (None, Where(cameras=['hall']), Where(min_score=0.4)):
        found = searcher.search(query, gallery, top=3, where=where)
        expected = inferencer.search(
            query.picture, query.box, gallery, top=3, where=where
        )
        assert [group.matches for group in found.groups] == [
            (match,) for match in expected
        ]
        assert found.missed is None
        assert found.num_images is None
        assert found.num_people == len(gallery)
    cameras = {group.best.source.camera for group in found.groups}
    assert cameras <= {'gate', 'hall'}
    hall = searcher.search(query, gallery, where=Where(cameras=['hall']))
    assert {group.best.source.camera for group in hall.groups} == {'hall'}


def test_what_an_archive_knows_and_the_disk_does_not_is_named(
    searcher, query, archive
):
    gallery = gallery_in(str(archive.folder))
    every = searcher.search(query, gallery, top=4)
    gone = Path(every.groups[0].best.source.image)
    kept = gone.rename(gone.with_suffix('.kept'))
    try:
        found = searcher.search(query, gallery, top=4)
    finally:
        kept.rename(gone)
    assert found.left_out == (str(gone),)
    assert found.groups == [
        group for group in every.groups if group.best.source.image != str(gone)
    ]
    assert len(found.pictures) == len(found.groups)


def test_an_archive_is_looked_at_deeper_than_is_shown(
    searcher, inferencer, query, archive, monkeypatch
):
    gallery = gallery_in(str(archive.folder))
    asked = []
    monkeypatch.setattr(
        *(inferencer, 'search'), lambda *_, **how: asked.append(how) or []
    )
    assert searcher.search(query, gallery, top=3).missed is None
    monkeypatch.setattr(type(gallery), 'exact', False)
    for recall, missed in ((0.75, 0.25), (None, 1)):
        monkeypatch.setattr(type(gallery), 'recall', recall)
        assert searcher.search(query, gallery, top=3).missed == missed
    # frames of one appearance are one group
    assert {how['top'] for how in asked} == {3 * module.DEEP}
