"""What is found is what a test finds, and in any kind of gallery."""

import copy
import itertools
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmps.apis import PersonSearchInferencer, load_config, run_test
from mmps.datasets.errors import DatasetError
from mmps.evaluation import read_dump
from mmps.inference import Origins, Where
from mmps.inference import inferencer as module
from tests.inference.rankings import assert_same_matches

NUMBER = itertools.count()  # mmengine wants a new name for each run


@pytest.fixture(scope='module')
def dump(oim, data, tmp_path_factory):
    """Features of a test with the same config and weights."""
    work = tmp_path_factory.mktemp('test')
    cfg = load_config(
        oim.config,
        work_dir=str(work),
        cfg_options={'experiment_name': f'inference{next(NUMBER)}'},
    )
    run_test(cfg, oim.weights, dump=str(work / 'dump.npz'))
    return read_dump(work / 'dump.npz')


def test_boxes_and_embeddings_are_those_of_a_test(plain, dump, data):
    folder = data / 'Image/SSM'
    paths = [folder / name for name in dump.image_names]
    index = plain.index(paths, batch_size=4)
    expected = dump.detections.above(0.05)
    assert len(expected) > 5 * len(paths)
    assert [s.image for s in index.sources] == [str(p) for p in paths]
    np.testing.assert_array_equal(index.boxes.offsets, expected.offsets)
    for part, atol in (('bboxes', 1e-3), ('scores', 1e-5)):
        got = getattr(index.boxes, part)
        np.testing.assert_allclose(got, getattr(expected, part), atol=atol)
    np.testing.assert_allclose(
        index.boxes.embeddings, expected.embeddings, atol=1e-5
    )
    # and queries: their embeddings give the ranking of the dump
    for number in range(0, len(dump.queries), 3):
        query = dump.queries[number]
        matches = plain.search(paths[query.image], query.bbox, index, top=None)
        cosine = expected.embeddings @ dump.query_embeddings[number]
        np.testing.assert_allclose(
            [match.similarity for match in matches],
            -np.sort(-cosine),
            atol=1e-5,
        )


def test_batches_change_nothing(plain, files):
    assert len({cv2.imread(file).shape for file in files}) > 1
    one, many = (plain.index(files, batch_size=n) for n in (1, 8))
    np.testing.assert_array_equal(one.boxes.offsets, many.boxes.offsets)
    for part in ('bboxes', 'scores', 'embeddings'):
        np.testing.assert_allclose(
            *(getattr(index.boxes, part) for index in (one, many)),
            rtol=1e-4,
            atol=1e-4,
        )


def test_pictures_of_a_batch_have_one_size(plain, files, monkeypatch):
    batches = []
    detect = plain.network.detect

    def noted(items):
        batches.append([tuple(item['inputs'].shape) for item in items])
        return detect(items)

    monkeypatch.setattr(plain.network, 'detect', noted)
    plain.index([files[7], *files], batch_size=4)
    assert [len(batch) for batch in batches] == [1, 4, 3, 1]
    assert all(len(set(batch)) == 1 for batch in batches)


@pytest.mark.parametrize('kind', ['plain', 'guided'])
def test_every_kind_of_gallery_is_searched(kind, files, tmp_path, request):
    search = request.getfixturevalue(kind).search
    query = (files[3], (30, 20, 90, 160))
    expected = search(*query, files, top=None)
    assert len(expected) > 9
    pixels = [cv2.imread(file) for file in files]
    found = search(pixels[3], query[1], pixels, top=9)
    assert_same_matches(found, expected, top=9)
    assert {m.source.image for m in expected} <= set(files)
    mixed = [*pixels[:2], *files[2:5], *pixels[5:]]
    found = search(*query, mixed, top=9, batch_size=3)
    assert_same_matches(found, expected, top=9)
    for number, file in enumerate(files):
        (tmp_path / str(number)).mkdir()
        link = tmp_path / str(number) / Path(file).name
        link.symlink_to(file)
    found = search(*query, tmp_path, top=9)
    assert_same_matches(found, expected, top=9)
    alone = search(*query, files[0], top=None)
    assert_same_matches(search(*query, pixels[0], top=None), alone)


@pytest.mark.parametrize('kind', ['plain', 'guided'])
def test_a_video_is_its_frames(kind, files, video, request):
    inferencer = request.getfixturevalue(kind)
    query = (files[0], (30, 20, 90, 160))
    frames = [s.pixels for s in module.scenes([video], 2)]
    found = inferencer.search(*query, video, every=2, top=12)
    whole = inferencer.search(*query, frames, top=None)
    assert_same_matches(found, whole, top=12)
    for match in found:
        assert match.source.image == video
        assert match.source.frame == 2 * match.position
        assert match.source.timestamp == pytest.approx(match.source.frame / 10)
    for match, picture in zip(found, inferencer.pictures(found), strict=True):
        np.testing.assert_array_equal(picture, frames[match.position])


def test_an_index_is_searched_like_its_gallery(plain, files, tmp_path):
    index = plain.index(files)
    index.save(tmp_path / 'index.npz')
    again = type(index).load(tmp_path / 'index.npz')
    for box in ((30, 20, 90, 160), (200, 10, 260, 200)):
        found = plain.search(files[0], box, again, top=15)
        assert found == plain.search(files[0], box, index, top=15)
        whole = plain.search(files[0], box, files, top=None)
        assert_same_matches(found, whole, top=15)


def test_people_are_chosen_by_camera_time_and_score(
    plain, guided, files, tmp_path
):
    gallery = []
    for number, file in enumerate(files[:4]):
        path = tmp_path / ('gate', 'door')[number % 2] / f'{number}.jpg'
        path.parent.mkdir(exist_ok=True)
        shutil.copy(file, path)
        os.utime(path, (1000 + number, 1000 + number))
        gallery.append(str(path))
    everybody = plain.search(
        *(files[0], (30, 20, 90, 160), gallery), top=None, origins=Origins()
    )
    score = sorted(m.score for m in everybody)[len(everybody) // 4]
    where = Where(cameras=['gate'], after=1001, min_score=score)
    expected = [
        match
        for match in everybody
        if match.source.image == gallery[2] and match.score >= score
    ]
    assert 0 < len(expected) < len(everybody)
    found = plain.search(
        *(files[0], (30, 20, 90, 160), gallery), top=None, where=where
    )
    assert found == expected
    assert {m.source.camera for m in found} == {'gate'}
    assert {m.source.time for m in found} == {1002.0}
    # pairs are run on pictures that are chosen so, and their people are
    query = (files[0], (30, 20, 90, 160), gallery)
    pairs = guided.search(*query, top=None, rerank=2, where=where)
    assert {m.source.image for m in pairs} <= {gallery[2]}
    assert all(m.score >= score for m in pairs)
    with pytest.raises(ValueError, match='give rerank=k, too'):
        guided.search(*query, where=where)


def test_a_stream_is_the_index_picture_by_picture(plain, files):
    index = plain.index(files[:3])
    parts = list(plain.stream(files[:3], batch_size=2))
    assert [source for source, _ in parts] == index.sources
    for number, (_, boxes) in enumerate(parts):
        rows = index.boxes.of(number)
        np.testing.assert_allclose(
            boxes.embeddings, index.boxes.embeddings[rows], atol=1e-5
        )


def test_the_index_of_another_network_is_refused(plain, guided, oim, files):
    index = guided.index(files[:1])
    with pytest.raises(ValueError, match='made by network'):
        plain.search(files[0], (30, 20, 90, 160), index)
    with pytest.raises(ValueError, match='made by network'):
        guided.search(
            files[0], (30, 20, 90, 160), plain.index(files[:1]), rerank=1
        )
    stricter = PersonSearchInferencer(
        oim.config, oim.weights, 'cpu', det_thr=0.1
    )
    with pytest.raises(
        ValueError, match=r'0\.05 and more, asked for are 0\.1'
    ):
        stricter.search(files[0], (30, 20, 90, 160), plain.index(files[:1]))


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(module, 'log', lambda text, *level: lines.append(text))
    return lines


@pytest.mark.parametrize('kind', ['oim', 'qeeps'])
def test_nobody_found_is_said(kind, files, request, log):
    made = request.getfixturevalue(kind)
    strict = PersonSearchInferencer(
        made.config, made.weights, 'cpu', det_thr=1.0
    )
    assert strict.search(files[0], (30, 20, 90, 160), files[:3]) == []
    (line,) = log
    assert 'nobody was found in 3 pictures' in line
    assert 'score of 1 and more' in line


def test_someone_found_is_not_logged(plain, files, log):
    assert plain.search(files[0], (30, 20, 90, 160), files[:1])
    assert log == []


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'top': 0}, 'top must be >= 1, got 0'),
        ({'every': 0}, 'every must be >= 1'),
        ({'batch_size': -1}, 'batch_size must be >= 1'),
        ({'rerank': 0}, 'rerank must be >= 1'),
        ({'rerank': 3}, 'not query-guided'),
    ],
)
def test_numbers_out_of_range_are_refused(options, message, plain, files):
    with pytest.raises(ValueError, match=message):
        plain.search(files[0], (30, 20, 90, 160), files[:1], **options)


def test_a_threshold_out_of_range_is_refused(oim):
    with pytest.raises(ValueError, match=r'det_thr must be in \[0, 1\]'):
        PersonSearchInferencer(oim.config, oim.weights, 'cpu', det_thr=1.1)


def test_a_missing_query_or_gallery_is_named_before_anything_runs(
    plain, files, monkeypatch
):
    monkeypatch.setattr(plain.network, 'detect', None)
    box = (30, 20, 90, 160)
    with pytest.raises(FileNotFoundError, match=r'none\.jpg: no such file'):
        plain.search('none.jpg', box, files)
    with pytest.raises(FileNotFoundError, match=r'none\.jpg: no such file'):
        plain.search(files[0], box, [*files, 'none.jpg'])
    with pytest.raises(TypeError, match='got NoneType'):
        plain.search(None, box, files)


def test_a_search_changes_no_weight(plain, files):
    model = plain.network.model
    before = copy.deepcopy(model.state_dict())
    plain.search(files[0], (30, 20, 90, 160), files[:2])
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize('kind', ['plain', 'guided'])
def test_broken_pictures_are_left_out_when_asked(
    kind, files, tmp_path, request, log
):
    inferencer = request.getfixturevalue(kind)
    query = (files[0], (30, 20, 90, 160))
    broken = [str(tmp_path / name) for name in ('a.jpg', 'b.mp4')]
    for path in broken:
        Path(path).write_bytes(b'no picture')
    gallery = [files[0], broken[0], files[1], broken[1]]
    for wrong in (broken[0], broken[1]):
        with pytest.raises(DatasetError, match='is no'):
            inferencer.search(*query, [files[0], wrong])
    expected = inferencer.search(*query, files[:2], top=None)
    found = inferencer.search(*query, gallery, top=None, skip_broken=True)
    assert_same_matches(found, expected)
    (line,) = log
    assert line.startswith('2 files cannot be read and were left out:')
    assert broken[0] in line
    assert broken[1] in line
    told = []
    inferencer.search(*query, gallery, skip_broken=told.append)
    assert sorted(error.file for error in told) == broken
    assert len(log) == 1
    with pytest.raises(ValueError, match='no picture of the gallery'):
        inferencer.search(*query, broken, skip_broken=True)


@pytest.mark.parametrize('kind', ['plain', 'guided'])
def test_progress_sees_every_picture(kind, files, video, request):
    seen = []

    def progress(pictures, total):
        for picture in pictures:
            seen.append((picture.source, total))
            yield picture

    request.getfixturevalue(kind).search(
        *(files[0], (30, 20, 90, 160), [files[0], video]),
        **dict(every=3, progress=progress),
    )
    assert [source.image for source, _ in seen] == [files[0], video, video]
    assert {total for _, total in seen} == {3}


def test_people_stand_from_left_to_right(plain, files):
    people = plain.people(files[0])
    found = plain.index(files[0]).boxes
    order = np.argsort(found.bboxes[:, 0], kind='stable')
    assert len(people) > 3
    for part in ('bboxes', 'scores', 'embeddings'):
        np.testing.assert_allclose(
            getattr(people, part), getattr(found, part)[order], atol=1e-5
        )


def test_pixels_cannot_be_read_again(plain, grey, files):
    found = plain.search(files[0], (30, 20, 90, 160), [cv2.imread(files[0])])
    with pytest.raises(ValueError, match='given as pixels'):
        plain.pictures(found)
