"""What is kept of the images of a pair, and what a pair yields.

Symbols used in this file:
    C, h, w     a C4 map
    n           anchors of an image
    m           anchors of an image whose RoI the head has seen
    M           detections of a pair
    D           size of an embedding
"""

from dataclasses import dataclass, field

from torch import Tensor

from .qsse_resnet import Stream


@dataclass
class QueryState:
    """What is kept of a query.

    Attributes:
        box: (1, 4) in input pixels.
        stream: What the gated backbone has made before it needs the other
            image.
        guide: (1, C) average RoI feature; without gates.
        embedding: (1, D); without gates.
    """

    box: Tensor
    stream: Stream | None = None
    guide: Tensor | None = None
    embedding: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory of all tensors."""
        return memory_of(self.stream, self.box, self.guide, self.embedding)


@dataclass
class GalleryState:
    """What is kept of a gallery image.

    Attributes:
        meta: ``img_shape`` and ``scale_factor``.
        stream: What the gated backbone has made before it needs the other
            image.
        feats: (1, C, h, w); this and the rest without gates.
        scores: (n,) objectness logits of the RPN.
        boxes: (n, 4) its boxes in input pixels.
        row: (n,) long; where ``roi_outputs`` has the anchor, -1 for nowhere.
        roi_outputs: (m, 2), (m, 4) and (m, D): logits, deltas and
            embeddings of the RoIs that the head has seen.
    """

    meta: dict
    stream: Stream | None = None
    feats: Tensor | None = None
    scores: Tensor | None = None
    boxes: Tensor | None = None
    row: Tensor | None = None
    roi_outputs: list[Tensor] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """Memory of all tensors."""
        return memory_of(
            self.stream,
            self.feats,
            self.scores,
            self.boxes,
            self.row,
            *self.roi_outputs,
        )


@dataclass
class PairResult:
    """What a pair yields.

    Attributes:
        bboxes: (M, 4) in original pixels of the gallery image.
        scores: (M,) detection scores.
        similarity: (M,) probability of being the query's person, or the
            cosine of the embeddings without QSimNet.
    """

    bboxes: Tensor
    scores: Tensor
    similarity: Tensor


def memory_of(stream: Stream | None, *tensors: Tensor | None) -> int:
    """Bytes of a stream and of tensors, as far as they are there."""
    if stream is not None:
        tensors = (*tensors, stream.x, stream.branch)
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def shapes_of(query: QueryState, gallery: GalleryState) -> tuple:
    """Pairs with equal ones run as one batch."""
    if gallery.stream is None:
        return tuple(gallery.feats.shape)
    return tuple(query.stream.x.shape), tuple(gallery.stream.x.shape)
