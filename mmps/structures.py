"""Shared vocabulary: sentinels, queries, galleries and field names.

Symbols used in this file:
    G   entries of one gallery
    K   gallery entries that show the person of the query
    Q   queries of a test set

Fields that mmps adds to mmdet's ``DetDataSample`` (boxes are x1 y1 x2 y2,
continuous, no + 1):

    gt_instances.instances_ids  (N,) identity row in [0, P), or ``UNLABELED``
    gt_instances.embeddings     (N, D) after ``predict``, of the given boxes
    query_instances.bboxes      (K, 4) query boxes that lie in this image
    query_instances.query_ids   (K,) their positions in metainfo['queries']
    query_instances.embeddings  (K, D) after ``predict``
    pred_instances.embeddings   (M, D) unit length, one per detection

Boxes of ``gt_instances`` are in network input pixels for training (they are
loaded before ``Resize``); ``gt_instances`` and ``query_instances`` are in
original pixels for testing (loaded after it), as mmdet does.

Fields of a data set's ``metainfo``:

    classes         ('person',)
    identity_names  list of str; row r of an OIM table is identity_names[r]
                    (training sets)
    image_names     list of str; image i of the set, ``img_id`` = i
    queries         tuple of ``Query`` (test sets)
    protocols       dict, name -> ``Protocol`` (test sets)
"""

from dataclasses import dataclass

import numpy as np

#: A person without an identity, the only sentinel that a data set may emit.
UNLABELED = -1
#: An RoI that lies on no person. Internal to models.
BACKGROUND = -2


def split_result_key(key: str) -> tuple[str, str]:
    """Row and figure of a key of a test's result.

    'G100/mAP' -> ('G100', 'mAP'); the row of detection is 'det', and a row
    may have a '/' in its name.
    """
    row, _, figure = key.rpartition('/')
    return row, figure


class _Shared:
    """Immutable by agreement, so that a copy is the object itself.

    mmengine deep-copies ``metainfo`` on every access; protocols of real test
    sets hold millions of numbers.
    """

    def __deepcopy__(self, memo: dict):
        return self


@dataclass(frozen=True, eq=False)
class Query(_Shared):
    """A person to look for: one box in one image of the test set.

    Attributes:
        image: Index of the image in metainfo['image_names'].
        bbox: (4,) float64, x1 y1 x2 y2 in original pixels.
        identity: Name of the person, as the annotation files spell it.
    """

    image: int
    bbox: np.ndarray
    identity: str


@dataclass(frozen=True, eq=False)
class Gallery(_Shared):
    """Where one query is searched for, and where it really is.

    Attributes:
        images: (G,) int32 image indices in the order of the protocol; an
            image that the protocol lists twice is here twice. With
            ``complement`` the images that are *left out* of the whole set.
        positives: (K,) int32 image indices that show the person, in the
            order of the protocol; repeated like ``images``.
        bboxes: (K, 4) float64, x1 y1 x2 y2 of the person there.
        complement: Whether the gallery is the whole test set but ``images``.
    """

    images: np.ndarray
    positives: np.ndarray
    bboxes: np.ndarray
    complement: bool = False


@dataclass(frozen=True, eq=False)
class Protocol(_Shared):
    """One published way to ask: some of the queries, each with a gallery.

    Attributes:
        queries: (n,) int64 positions in metainfo['queries'].
        galleries: n galleries, in the same order.
    """

    queries: np.ndarray
    galleries: tuple[Gallery, ...]
