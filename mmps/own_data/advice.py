"""What a config needs to know of a data set, measured, with reasons.

Symbols used in this file:
    n   boxes of the training pictures that were looked at
    k   anchors of one cell

A choice is a value and the sentence that explains it in the config.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmps.datasets.errors import DatasetError
from mmps.datasets.pictures import picture_size
from mmps.datasets.records import SplitRecords

#: Pixels of the map's cells: what an anchor of scale 1 measures.
STRIDE = 16
#: Training pictures that are measured, evenly spaced.
_LOOKED_AT = 500
#: A tenth of all people may be smaller than this in the network's input, in
#: pixels: three cells.
_MIN_HEIGHT = 3 * STRIDE
#: Share of boxes that are to have an anchor of about their size.
_ENOUGH = 0.9


@dataclass(frozen=True)
class Choice:
    """A value of a config and why it was chosen."""

    value: object
    reason: str


@dataclass(frozen=True)
class Measures:
    """A training half in numbers.

    Attributes:
        pictures: Those with people.
        identities: P.
        labelled, unlabelled: Boxes with and without identity.
        sizes: (m, 2) width and height of the pictures that were looked at.
        boxes: (n, 2) width and height of the boxes in them, in pixels.
        picture_of: (n,) row of ``sizes`` of each box.
    """

    pictures: int
    identities: int
    labelled: int
    unlabelled: int
    sizes: np.ndarray
    boxes: np.ndarray
    picture_of: np.ndarray

    def boxes_at(self, scale: tuple[int, int]) -> np.ndarray:
        """(n, 2) boxes as the network sees them.

        Args:
            scale: Maximum of the longer and of the shorter side, as
                ``Resize`` takes it.
        """
        long, short = self.sizes.max(axis=1), self.sizes.min(axis=1)
        factor = np.minimum(scale[0] / long, scale[1] / short)
        return self.boxes * factor[self.picture_of, None]


def measure(train: SplitRecords) -> Measures:
    """Measure a training half.

    Raises:
        DatasetError: It shows nobody, or a picture cannot be read.
    """
    shown = [image for image in train.images if len(image.bboxes)]
    if not shown:
        raise DatasetError('the training half', 'shows nobody, it has no box')
    step = math.ceil(len(shown) / _LOOKED_AT)
    sample = shown[::step]
    sizes = np.array([picture_size(image.path) for image in sample])
    corners = np.concatenate(
        [
            np.clip(image.bboxes.reshape(-1, 2, 2), 0, size).reshape(-1, 4)
            for image, size in zip(sample, sizes, strict=True)
        ]
    )
    names = [name for image in shown for name in image.identities]
    labelled = sum(name is not None for name in names)
    return Measures(
        pictures=len(shown),
        identities=len(train.identity_names),
        labelled=labelled,
        unlabelled=len(names) - labelled,
        sizes=sizes,
        boxes=corners[:, 2:] - corners[:, :2],
        picture_of=np.repeat(
            np.arange(len(sample)), [len(image.bboxes) for image in sample]
        ),
    )


def choose_queue(measures: Measures) -> Choice:
    """Slots of the queue of people without identity."""
    eighth = measures.unlabelled / 8
    value = 0 if not eighth else int(min(max(eighth, 8), 5000))
    reason = (
        f'{measures.unlabelled} boxes have no identity. The queue remembers '
        'an eighth of them, as the published sizes do (5000 of 40187 for '
        'CUHK-SYSU, 500 of 3141 for PRW), at most 5000'
    )
    return Choice(value, reason)


def choose_scale(measures: Measures, limit: tuple[int, int]) -> Choice:
    """Longer and shorter side of the network's input.

    Args:
        limit: Maximum of both sides.
    """
    long = float(np.median(measures.sizes.max(axis=1)))
    short = float(np.median(measures.sizes.min(axis=1)))
    most = min(limit[0] / long, limit[1] / short)
    fit = min(1.0, most)
    small = float(
        np.percentile(measures.boxes_at((long * fit, short * fit))[:, 1], 10)
    )
    factor = fit
    if small < _MIN_HEIGHT:
        factor = max(fit, min(most, 2.0, fit * _MIN_HEIGHT / small))
    value = (round(long * factor), round(short * factor))
    height = float(np.median(measures.boxes_at(value)[:, 1]))
    tenth = float(np.percentile(measures.boxes_at(value)[:, 1], 10))
    how = f'{factor:.2f} times' if abs(factor - 1) > 0.005 else 'as they are'
    reason = (
        f'pictures have {long:.0f} x {short:.0f} pixels (median, longer x '
        f'shorter side); {how}, people are {height:.0f} pixels high in the '
        f'median and a tenth of them below {tenth:.0f}. A cell of the map is '
        f'{STRIDE} pixels; limit {limit[0]} x {limit[1]}'
    )
    return Choice(value, reason)


def has_both_orientations(measures: Measures) -> Choice:
    """Whether batches are to be grouped by orientation."""
    standing = float((measures.sizes[:, 0] < measures.sizes[:, 1]).mean())
    return Choice(
        0.05 <= standing <= 0.95,
        f'{standing:.0%} of the pictures stand, the others lie: together they '
        'would be padded to the larger of both sides',
    )


def choose_anchors(boxes: np.ndarray, usual: Sequence[tuple]) -> Choice:
    """Scales and ratios (height / width) of the anchors.

    Args:
        boxes: (n, 2) width and height in the network's input.
        usual: Anchors of the base config, (width, height), to compare with.

    Returns:
        (scales, ratios).
    """
    sides = np.sqrt(boxes.prod(axis=1)) / STRIDE
    low, high = np.percentile(sides, [2, 98])
    quantiles = np.percentile(boxes[:, 1] / boxes[:, 0], [10, 50, 90])
    candidates = [
        (_rounded(_middles(low, high, count)), _rounded(ratios))
        for count in range(1, 8)
        for ratios in (quantiles[1:2], quantiles)
    ]
    candidates.sort(key=lambda choice: len(choice[0]) * len(choice[1]))
    shares = [coverage(boxes, shapes(*choice)) for choice in candidates]
    enough = [i for i, share in enumerate(shares) if share >= _ENOUGH]
    scales, chosen = candidates[enough[0] if enough else np.argmax(shares)]
    ours, theirs = (
        coverage(boxes, anchors) for anchors in (shapes(scales, chosen), usual)
    )
    reason = (
        f'{ours:.0%} of the boxes have an anchor of about their size (IoU '
        f'0.7 about one centre), {theirs:.0%} with those of the base config; '
        f'the fewest that reach {_ENOUGH:.0%}, or the best of up to 21. '
        f'Sides (root of the area) are {low * STRIDE:.0f} to '
        f'{high * STRIDE:.0f} pixels (2nd to 98th percentile), height / width '
        f'{quantiles[1]:.2f} in the median'
    )
    return Choice((scales, chosen), reason)


def _middles(low: float, high: float, count: int) -> np.ndarray:
    """Middles of ``count`` equal parts of a range, on a logarithmic scale."""
    return low * (high / low) ** ((np.arange(count) + 0.5) / count)


def _rounded(values: np.ndarray) -> list[float]:
    return sorted({round(float(value), 2) for value in values})


def shapes(scales: Sequence[float], ratios: Sequence[float]) -> list[tuple]:
    """(width, height) of every anchor, in pixels."""
    return [
        (STRIDE * scale / math.sqrt(ratio), STRIDE * scale * math.sqrt(ratio))
        for scale in scales
        for ratio in ratios
    ]


def coverage(boxes: np.ndarray, anchors: Sequence[tuple]) -> float:
    """Share of boxes that an anchor overlaps with IoU 0.7 from their centre.

    Args:
        boxes: (n, 2) width and height.
        anchors: k pairs of width and height.
    """
    anchors = np.asarray(anchors, dtype=float)
    common = np.minimum(boxes[:, None], anchors[None]).prod(axis=2)
    union = boxes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - common
    return float(((common / union).max(axis=1) >= 0.7).mean())


@dataclass(frozen=True)
class Recipe:
    """A published or measured training, whose updates are taken over.

    Attributes:
        updates: Steps of the optimizer.
        batch: Pictures of a step.
        source: Where these numbers come from.
        share: Of the updates, when starting from a trained network.
    """

    updates: int
    batch: int
    source: str
    share: float


#: Networks that start from ImageNet.
FULL = Recipe(20500, 5, '18 epochs of PRW at 5 pictures a step', 0.25)
#: Narrow networks from scratch (configs/_base_/schedules/synth.py).
NARROW = Recipe(1600, 4, '8 epochs of 800 synthetic scenes at 4 a step', 0.5)


def choose_epochs(pictures: int, recipe: Recipe, fine_tuning: bool) -> Choice:
    """Epochs for so many pictures, between 2 and 100."""
    updates = round(recipe.updates * (recipe.share if fine_tuning else 1))
    value = round(updates * recipe.batch / pictures)
    value = min(max(value, 2), 100)
    steps = value * math.ceil(pictures / recipe.batch)
    reason = f'{pictures} pictures, {steps} steps in all. A recipe has '
    reason += f'{recipe.updates} ({recipe.source})'
    if fine_tuning:
        reason += f'; from a trained network {recipe.share:g} of that'
    return Choice(value, f'{reason}; never below 2 or above 100 epochs')
