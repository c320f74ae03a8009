"""Rows of the table of an archive: people, and records of files.

pyarrow, which comes with LanceDB, is imported when a row is made.

Symbols used in this file:
    I   pictures
    D   size of an embedding
"""

from collections.abc import Sequence

import numpy as np

from mmps.evaluation.features import Boxes

from .file_records import FileRecord
from .matches import Source

#: Number of a row that is the record of a file.
RECORD = -1


def schema_of(dims: int):
    """Columns of people, and of records of files.

    Args:
        dims: D.
    """
    import pyarrow as pa

    return pa.schema(
        [
            ('file', pa.string()),
            ('camera', pa.string()),
            ('time', pa.float64()),
            ('frame', pa.int64()),
            ('timestamp', pa.float64()),
            ('position', pa.int64()),
            ('number', pa.int32()),
            ('bbox', pa.list_(pa.float32(), 4)),
            ('score', pa.float32()),
            ('embedding', pa.list_(pa.float32(), dims)),
            ('size', pa.int64()),
            ('mtime_ns', pa.int64()),
            ('pictures', pa.int64()),
            ('done', pa.bool_()),
            ('note', pa.string()),
        ]
    )


def people_rows(
    sources: Sequence[Source], boxes: Boxes, first: int, dims: int
):
    """Table with a row for each person.

    Args:
        sources: I.
        boxes: Of the I pictures.
        first: Number of the first picture.
        dims: D.
    """
    import pyarrow as pa

    schema = schema_of(dims)
    image = boxes.image
    columns = {
        name: pa.array(
            [getattr(sources[i], field) for i in image.tolist()],
            schema.field(name).type,
        )
        for name, field in (
            ('file', 'image'),
            *((each, each) for each in ('camera', 'time', 'frame')),
            ('timestamp', 'timestamp'),
        )
    }
    columns['position'] = pa.array(first + image)
    columns['number'] = pa.array(boxes.numbers, pa.int32())
    columns['score'] = pa.array(boxes.scores.astype(np.float32))
    for name, values, size in (
        ('bbox', boxes.bboxes, 4),
        ('embedding', boxes.embeddings, dims),
    ):
        flat = pa.array(np.ascontiguousarray(values, np.float32).ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, size)
    return _filled(columns, len(boxes), schema)


def record_rows(records: Sequence[FileRecord], dims: int):
    """Table with a row for each file, in the columns of people."""
    import pyarrow as pa

    schema = schema_of(dims)
    columns = {
        name: pa.array(
            [getattr(record, name) for record in records],
            schema.field(name).type,
        )
        for name in FileRecord._fields
    }
    columns['number'] = pa.array([RECORD] * len(records), pa.int32())
    return _filled(columns, len(records), schema)


def _filled(columns: dict, num: int, schema):
    import pyarrow as pa

    return pa.table(
        {
            field.name: columns.get(field.name, pa.nulls(num, field.type))
            for field in schema
        },
        schema=schema,
    )


def joined(*tables):
    """One table of several."""
    import pyarrow as pa

    return pa.concat_tables(tables)


def matrix(column, width: int) -> np.ndarray:
    """(k, width) float32 of a column of lists."""
    parts = [
        chunk.flatten().to_numpy(zero_copy_only=False)
        for chunk in column.chunks
    ]
    flat = np.concatenate([np.zeros(0, np.float32), *parts])
    return flat.reshape(-1, width).astype(np.float32, copy=False)
