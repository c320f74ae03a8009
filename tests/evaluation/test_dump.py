"""A dump comes back exactly, or is refused with its name."""

import contextlib
import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from mmps.evaluation import dump
from mmps.evaluation.dump import read_dump, write_dump
from mmps.evaluation.records import gather
from mmps.evaluation.scoring import evaluate
from tests.evaluation.random_sets import random_features
from tests.evaluation.test_features import assert_equal, big, records_of

EVERYTHING = {
    'cws': True,
    'gt_boxes': True,
    'cbgm': {'k1': 2, 'k2': 2},
    'detected_query': True,
}


def test_comes_back_as_it_was(tmp_path):
    path = tmp_path / 'new folder' / 'features.npz'
    for seed in range(20):
        features = random_features(seed)
        write_dump(features, path, det_thr=0.5)
        again = read_dump(path)
        assert_equal(again, features)
        assert repr(evaluate(again, **EVERYTHING)) == repr(
            evaluate(features, **EVERYTHING)
        )
        for query, other in zip(features.queries, again.queries, strict=True):
            assert (query.image, query.identity) == (
                other.image,
                other.identity,
            )
            assert np.array_equal(query.bbox, other.bbox)
        for name, protocol in features.protocols.items():
            other = again.protocols[name]
            assert np.array_equal(protocol.queries, other.queries)
            for one, two in zip(
                protocol.galleries, other.galleries, strict=True
            ):
                assert np.array_equal(one.images, two.images)
                assert np.array_equal(one.positives, two.positives)
                assert np.array_equal(one.bboxes, two.bboxes)
                assert one.complement is two.complement


def test_detection_alone_comes_back(tmp_path):
    features = big()
    records = records_of(features)
    for record in records:
        record['embeddings'] = record['gt_embeddings'] = None
    bare = gather(records, features.image_names)
    write_dump(bare, tmp_path / 'bare.npz')
    again = read_dump(tmp_path / 'bare.npz')
    assert again.detections.embeddings is None
    assert evaluate(again) == evaluate(bare)


def test_metadata_can_be_read_without_us(tmp_path):
    features = big()
    write_dump(features, tmp_path / 'd.npz', det_thr=0.5)
    with np.load(tmp_path / 'd.npz', allow_pickle=False) as file:
        meta = json.loads(str(file['meta']))
    assert meta['format'] == 'mmps features'
    assert meta['images'] == len(features.image_names)
    assert meta['detections'] == len(features.detections)
    assert meta['embed_dims'] == features.detections.embeddings.shape[1]
    assert meta['protocols'] == ['first', 'second']
    assert meta['extra'] == {'det_thr': 0.5}


def test_truncated_or_flipped_files_are_refused(tmp_path):
    features = big()
    write_dump(features, tmp_path / 'good.npz')
    data = (tmp_path / 'good.npz').read_bytes()
    bad = tmp_path / 'bad.npz'
    rng = np.random.default_rng(0)
    for size in rng.integers(0, len(data) - 1, size=60):
        bad.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r'bad\.npz: not a readable'):
            read_dump(bad)
    for where in rng.integers(0, len(data), size=200):
        flipped = bytearray(data)
        flipped[where] ^= 1 << int(rng.integers(8))
        bad.write_bytes(flipped)
        # a byte that carries nothing, such as a time stamp, may change
        with contextlib.suppress(ValueError):
            assert_equal(read_dump(bad), features)


def foreign_files() -> dict[str, bytes]:
    files = {'empty': b'', 'text': b'hello', 'pickle': pickle.dumps([1])}
    for name, content in (
        ('array', np.arange(3)),
        ('objects', np.array([{}], dtype=object)),
    ):
        file = io.BytesIO()
        np.save(file, content)
        files[name] = file.getvalue()
    for name, arrays in (
        ('other npz', {'x': np.arange(3)}),
        ('other meta', {'meta': np.array('{"format": "coco"}')}),
        ('list meta', {'meta': np.array('[1]')}),
        ('no json', {'meta': np.array('{')}),
        ('objects inside', {'meta': np.array([{}], dtype=object)}),
        (
            'next version',
            {'meta': np.array('{"format": "mmps features", "version": 2}')},
        ),
        (
            'nothing but meta',
            {'meta': np.array('{"format": "mmps features", "version": 1}')},
        ),
    ):
        file = io.BytesIO()
        np.savez(file, **arrays)
        files[name] = file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('readme.txt', 'hello')
    files['zip'] = file.getvalue()
    return files


@pytest.mark.parametrize('name', foreign_files())
def test_foreign_files_are_refused(name, tmp_path):
    path = tmp_path / 'foreign.npz'
    path.write_bytes(foreign_files()[name])
    with pytest.raises(ValueError, match=r'foreign\.npz: not a readable'):
        read_dump(path)


def test_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match='mmps test --dump'):
        read_dump(tmp_path / 'none.npz')


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'd.npz'
    features = big()
    write_dump(features, path)

    def fail(file, **arrays):
        file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(dump.np, 'savez', fail)
    with pytest.raises(OSError, match='disk full'):
        write_dump(features, path)
    assert_equal(read_dump(path), features)
    assert [p.name for p in tmp_path.iterdir()] == ['d.npz']
