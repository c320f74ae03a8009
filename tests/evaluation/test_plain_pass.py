import numpy as np
import pytest

from mmps.evaluation.plain_pass import (
    CHUNK,
    chunk_files,
    chunks,
    read_records,
    write_records,
)


@pytest.mark.parametrize('batch', [1, 3, CHUNK, CHUNK + 8])
@pytest.mark.parametrize('images', [0, 1, CHUNK, 3 * CHUNK + 5])
def test_chunks_are_whole_batches(images, batch):
    parts = chunks(images, batch)
    assert [image for part in parts for image in part] == list(range(images))
    assert all(len(part) % batch == 0 for part in parts[:-1])
    assert all(len(part) <= max(CHUNK, batch) for part in parts)


def test_files_are_of_what_records_depend_on(tmp_path):
    one = chunk_files(tmp_path, 70, 1, [0.5, [1, 2]])
    assert len({file.stem for file in one}) == len(one) == 3
    assert one == chunk_files(tmp_path, 70, 1, [0.5, [1, 2]])
    for other in (
        chunk_files(tmp_path, 70, 2, [0.5, [1, 2]]),
        chunk_files(tmp_path, 70, 1, [0.6, [1, 2]]),
    ):
        assert not set(other) & set(one)


def test_records_are_read_as_they_were_written(tmp_path):
    boxes = np.arange(8, dtype=np.float32).reshape(2, 4)
    records = [
        dict(img_id=3, bboxes=boxes, gt_ids=np.array([4]), embeddings=None),
        dict(img_id=0, bboxes=boxes[:0], gt_ids=np.zeros(0, np.int64)),
    ]
    write_records(tmp_path / 'a.npz', records)
    again = read_records(tmp_path / 'a.npz')
    assert [list(record) for record in again] == [list(r) for r in records]
    for record, expected in zip(again, records, strict=True):
        for name, value in expected.items():
            np.testing.assert_array_equal(record[name], value)
    assert type(again[0]['img_id']) is int
    assert again[0]['embeddings'] is None
    assert again[1]['bboxes'].shape == (0, 4)
