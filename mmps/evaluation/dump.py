"""Write and read the features of a test set as one ``.npz`` file.

The file holds all that scoring needs (``Features``) in plain arrays, so that
it can be scored again without the data set, the model or a GPU. Ragged lists
lie flat with offsets. It is read without pickle.

    meta                        JSON: format, version, D, counts, det_thr
    image_names                 (I,) str
    detections_*                bboxes, scores, embeddings, offsets
    ground_truth_*              bboxes, embeddings, offsets, ids
    query_*                     images, bboxes, identities, embeddings
    protocol<i>_*               queries, images, image_offsets, positives,
                                bboxes, positive_offsets, complement
"""

import os

import numpy as np

from .features import Boxes, Features
from .npz import Kind, meta_entry, read_npz, write_npz
from .search_arrays import (
    protocols_from_arrays,
    protocols_to_arrays,
    queries_from_arrays,
    queries_to_arrays,
)

DUMP = Kind('mmps features', 1, 'feature dump', '`mmps test --dump`')


def write_dump(
    features: Features, path: str | os.PathLike, **extra: object
) -> None:
    """Write features to ``path``; the file appears whole or not at all.

    Args:
        features: What to write.
        path: Its folder is made if it does not exist.
        extra: JSON values to note in the metadata; scoring ignores them.
    """
    write_npz(path, _to_arrays(features, extra))


def read_dump(path: str | os.PathLike) -> Features:
    """Read features back, exactly as they were written.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is not a feature dump, is of another version or
            is damaged.
    """
    return read_npz(path, DUMP, _from_arrays)


def _to_arrays(features: Features, extra: dict) -> dict[str, np.ndarray]:
    found, people = features.detections, features.ground_truth
    arrays = {
        'image_names': np.array(features.image_names, dtype=np.str_),
        'detections_bboxes': found.bboxes,
        'detections_scores': found.scores,
        'detections_offsets': found.offsets,
        'ground_truth_bboxes': people.bboxes,
        'ground_truth_offsets': people.offsets,
        'ground_truth_ids': np.asarray(features.gt_ids, np.int64),
    }
    for name, value in (
        ('detections_embeddings', found.embeddings),
        ('ground_truth_embeddings', people.embeddings),
        ('query_embeddings', features.query_embeddings),
    ):
        if value is not None:
            arrays[name] = value
    arrays |= queries_to_arrays(features.queries)
    arrays |= protocols_to_arrays(features.protocols)
    notes = {
        'numpy': np.__version__,
        'images': len(features.image_names),
        'detections': len(found),
        'embed_dims': (
            None if found.embeddings is None else found.embeddings.shape[1]
        ),
        'protocols': list(features.protocols),
        'extra': extra,
    }
    arrays['meta'] = meta_entry(DUMP, notes)
    return arrays


def _from_arrays(file, meta: dict) -> Features:
    def boxes(name: str) -> Boxes:
        bboxes = file[f'{name}_bboxes']
        scores = file.get(f'{name}_scores')
        return Boxes(
            bboxes,
            np.ones(len(bboxes), np.float32) if scores is None else scores,
            file.get(f'{name}_embeddings'),
            file[f'{name}_offsets'],
        )

    return Features(
        image_names=[str(name) for name in file['image_names']],
        detections=boxes('detections'),
        ground_truth=boxes('ground_truth'),
        gt_ids=file['ground_truth_ids'],
        queries=queries_from_arrays(file),
        query_embeddings=file.get('query_embeddings'),
        protocols=protocols_from_arrays(file, meta['protocols']),
    )
