"""One pass over single images, shared by any number of processes.

What a cascade ranks galleries by: detections and embeddings of every image on
its own. Images are cut into chunks; what a chunk yields is a file.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .npz import Kind, meta_entry, read_npz, write_npz

RECORDS = Kind(
    'mmps plain records', 1, 'file of plain records', 'a cascade of pairs'
)
#: Images of a chunk.
CHUNK = 32


def chunks(num_images: int, batch_size: int) -> list[range]:
    """Images of each chunk: whole batches, the last one excepted."""
    size = batch_size * max(CHUNK // batch_size, 1)
    return [
        range(start, min(start + size, num_images))
        for start in range(0, num_images, size)
    ]


def chunk_files(
    folder: Path, num_images: int, batch_size: int, depends_on: Iterable
) -> list[Path]:
    """Where the records of each chunk go.

    Args:
        folder: Folder of one network, see ``PairStore``.
        num_images: Images of the test set.
        batch_size: Images at a time.
        depends_on: Values for JSON: all but network and settings that the
            records depend on.
    """
    text = json.dumps([batch_size, *depends_on])
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return [
        folder / f'plain_{name}' / f'plain_{name}_{number}.npz'
        for number in range(len(chunks(num_images, batch_size)))
    ]


def write_records(file: Path, records: Sequence[dict]) -> None:
    """Write records of single images, see ``gather``."""
    arrays = {
        f'{number}/{name}': np.asarray(value)
        for number, record in enumerate(records)
        for name, value in record.items()
        if value is not None
    }
    notes = dict(fields=[list(record) for record in records])
    write_npz(file, {**arrays, 'meta': meta_entry(RECORDS, notes)})


def read_records(file: Path) -> list[dict]:
    """Inverse of ``write_records``."""

    def parse(arrays, meta: dict) -> list[dict]:
        records = [
            {name: arrays.get(f'{number}/{name}') for name in names}
            for number, names in enumerate(meta['fields'])
        ]
        for record in records:
            record['img_id'] = int(record['img_id'])
        return records

    return read_npz(file, RECORDS, parse)
