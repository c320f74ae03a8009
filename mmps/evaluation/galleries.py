"""Which detections a gallery ranks, and which of them lie on the person.

Symbols used in this file:
    I   images of the test set
    M   detections of all images together, after the score cut
    K   gallery entries that show the person of a query
    E   of them, all galleries together, those that a detection can find
    n   queries, so galleries, of one protocol
"""

from dataclasses import dataclass

import numpy as np

from mmps.structures import Gallery, Protocol

from .features import Boxes, iou

#: What to do with an image that a gallery lists twice.
DUPLICATES = ('seqnet', 'oim', 'unique')


def listings(
    name: str, position: int, gallery: Gallery, num_images: int
) -> np.ndarray:
    """(I,) how often a gallery lists each image.

    Raises:
        ValueError: The gallery names an image that does not exist, or shows
            the person in an image more often than it lists that image.
    """
    listed = np.bincount(gallery.images, minlength=num_images)
    shown = np.bincount(gallery.positives, minlength=num_images)
    if max(len(listed), len(shown)) > num_images:
        raise ValueError(
            f"protocol '{name}', gallery {position}: image "
            f'{max(len(listed), len(shown)) - 1} of {num_images} images'
        )
    if gallery.complement:
        listed = (listed == 0).astype(listed.dtype)
    if (shown > listed).any():
        image = int((shown > listed).argmax())
        raise ValueError(
            f"protocol '{name}', gallery {position}: image {image} is "
            f'{shown[image]} times a positive but {listed[image]} times in '
            'the gallery'
        )
    return listed


def candidates(
    listed: np.ndarray, boxes: Boxes, duplicates: str
) -> np.ndarray:
    """Ascending rows of the detections that a gallery ranks."""
    rows = np.flatnonzero((listed > 0)[boxes.image])
    if duplicates == 'oim':
        rows = np.repeat(rows, listed[boxes.image[rows]])
    return rows


@dataclass(frozen=True, eq=False)
class Positives:
    """The detections that lie on the person, for all galleries of a protocol.

    Which of them is the true positive of an image depends on the similarity:
    the most similar one.

    Attributes:
        num_gt: (n,) gallery entries that show the person.
        rows: Detections that overlap the person enough, gallery after
            gallery and entry after entry.
        entry: Same length; number of the gallery entry in [0, E), rising.
        offsets: (n + 1,) cuts ``rows`` into galleries.
        images: (E,) where the entries are.
        bboxes: (E, 4) the person there.
    """

    num_gt: np.ndarray
    rows: np.ndarray
    entry: np.ndarray
    offsets: np.ndarray
    images: np.ndarray
    bboxes: np.ndarray

    @classmethod
    def find(
        cls, name: str, boxes: Boxes, protocol: Protocol, duplicates: str
    ) -> 'Positives':
        """Overlap the positives of all galleries with the detections."""
        num = len(protocol.galleries)
        counts = [len(g.positives) for g in protocol.galleries]
        gallery = np.repeat(np.arange(num), counts)
        image = _flat([g.positives for g in protocol.galleries], np.int64, ())
        bboxes = _flat([g.bboxes for g in protocol.galleries], float, (4,))
        sides = bboxes[:, 2:] - bboxes[:, :2]
        if len(image) != len(bboxes) or not (sides > 0).all():
            raise ValueError(
                f"protocol '{name}': a positive needs one box x1 y1 x2 y2 "
                f'with an area; got {len(image)} images, {len(bboxes)} boxes, '
                f'{np.count_nonzero(~(sides > 0).all(1))} without area'
            )
        first = np.arange(len(image))
        if duplicates != 'oim' and len(image):
            key = gallery * (image.max() + 1) + image
            first = np.sort(np.unique(key, return_index=True)[1])
        counted = gallery[first] if duplicates == 'unique' else gallery
        gallery, image, bboxes = gallery[first], image[first], bboxes[first]
        rows, entry = _rows_of(boxes, image)
        threshold = box_threshold(bboxes)
        near = iou(boxes.bboxes[rows], bboxes[entry]) >= threshold[entry]
        rows, entry = rows[near], entry[near]
        return cls(
            np.bincount(counted, minlength=num),
            rows,
            entry,
            np.searchsorted(gallery[entry], np.arange(num + 1)),
            image,
            bboxes,
        )

    def matched(self, position: int, similarity: np.ndarray) -> np.ndarray:
        """Similarity of the true positive of each entry that has one."""
        part = slice(self.offsets[position], self.offsets[position + 1])
        entry = self.entry[part]
        if not len(entry):
            return np.zeros(0)
        starts = np.flatnonzero(np.diff(entry, prepend=-1))
        return np.maximum.reduceat(similarity[self.rows[part]], starts)

    def winners(
        self, position: int, similarity: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the true positives and the entries that they find.

        Among equals on a person the first detection is the true positive.
        """
        part = slice(self.offsets[position], self.offsets[position + 1])
        rows, entry = self.rows[part], self.entry[part]
        order = np.lexsort((-similarity[rows], entry))
        found, first = np.unique(entry[order], return_index=True)
        return rows[order][first], found


def box_threshold(bboxes: np.ndarray) -> np.ndarray:
    """IoU that a detection of each person needs: less for small people."""
    width, height = (bboxes[:, 2:] - bboxes[:, :2]).T
    return np.minimum(0.5, width * height / ((width + 10) * (height + 10)))


def _flat(parts: list, dtype: type, tail: tuple) -> np.ndarray:
    arrays = [np.asarray(p, dtype).reshape(-1, *tail) for p in parts]
    return np.concatenate(arrays or [np.zeros((0, *tail), dtype)])


def _rows_of(
    boxes: Boxes, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the boxes of several images, and which image each is for."""
    if len(images) and not 0 <= images.min() <= images.max() < (
        boxes.num_images
    ):
        raise ValueError(
            f'positives in image {images.min()} to {images.max()}, but there '
            f'are {boxes.num_images} images'
        )
    starts = boxes.offsets[images]
    counts = boxes.offsets[images + 1] - starts
    number = np.repeat(np.arange(len(images)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(number)) + (starts - before)[number], number
