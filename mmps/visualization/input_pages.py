"""The input of a model: images after the pipeline, with their annotations.

Frames: a colour of its own for each identity, grey for people without
one, dashed for boxes to be ignored, thick orange for queries, thick green for
the person that both images of a pair share.
"""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import Normalize
from mmdet.structures import DetDataSample

from .canvas import RIGHT, heading, label, save, stack
from .pages import Picture, Section, write_index

NOBODY, IGNORED, ASKED = (190, 190, 190), (0, 190, 230), (0, 120, 255)
#: Pictures are enlarged to this length of their longer side, for the labels.
SIDE = 720
LEGEND = (
    'Coloured: people with an identity, one colour each. Grey: people '
    'without. Dashed yellow: ignored. Thick orange: queries. Thick green: the '
    'person that both images of a pair share.'
)


def save_input_pages(
    dataset, out: str | Path, *, title: str, num: int = 20, seed: int = 0
) -> list[Path]:
    """Draw items of a data set, and write ``index.html`` beside.

    The same seed draws the same items, and each looks as in the first epoch
    of a training with the config's own seed.

    Args:
        dataset: ``PersonSearchDataset`` or ``QueryGalleryPairs``, with its
            pipeline.
        out: Folder; it is made if it does not exist.
        title: Heading of the page.
        num: Items; all if there are fewer.
        seed: Chooses them.

    Returns:
        The pictures, in the order of the data set.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(dataset))[:num]
    files = []
    for index in np.sort(order).tolist():
        file = folder / f'{index:06d}.jpg'
        save(fed_picture(dataset, index), file)
        files.append(file)
    pictures = [Picture(file.name, f'item {file.stem}') for file in files]
    write_index(
        folder,
        title,
        [f'{len(files)} of {len(dataset)} items, seed {seed}.', LEGEND],
        [Section('Items', pictures)],
    )
    return files


def fed_picture(dataset, index: int) -> np.ndarray:
    """Draw one item; a pair side by side, the query image on the left."""
    item = dataset[index]
    scenes = getattr(dataset, 'dataset', dataset)
    if isinstance(item, dict):
        return _scene(item, scenes, '')
    parts = [
        _scene(part, scenes, name)
        for part, name in zip(item, ('query', 'gallery'), strict=True)
    ]
    height = max(part.shape[0] for part in parts)
    return np.hstack(
        [
            np.pad(
                part,
                ((0, height - part.shape[0]), (4, 4), (0, 0)),
                constant_values=255,
            )
            for part in parts
        ]
    )


def to_picture(item: dict, transforms: Sequence) -> np.ndarray:
    """The image of an item as a picture; normalisation is undone.

    Args:
        item: ``inputs`` (3, H, W), uint8 or normalised float, blue green red
            but behind ``Normalize(to_rgb=True)``.
        transforms: Of the pipeline that has made it.

    Returns:
        (H, W, 3) uint8, blue green red.
    """
    picture = item['inputs'].permute(1, 2, 0).numpy().astype(np.float64)
    for transform in reversed(list(transforms)):
        if isinstance(transform, Normalize):
            picture = picture * transform.std + transform.mean
            if transform.to_rgb:
                picture = picture[..., ::-1]
    return np.ascontiguousarray(picture.round().clip(0, 255).astype(np.uint8))


def _scene(item: dict, dataset, kind: str) -> np.ndarray:
    sample: DetDataSample = item['data_samples']
    picture = to_picture(item, dataset.pipeline.transforms)
    factor = SIDE / max(picture.shape[:2])
    size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
    how = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    drawn = cv2.resize(picture, size, interpolation=how)
    scale = np.array(sample.scale_factor * 2) * factor
    # behind Resize, annotations of a test stay in original pixels
    people_scale = scale if dataset.test_mode else np.full(4, factor)
    labels = _draw_people(drawn, sample, people_scale, names_of(dataset))
    for box in _boxes(sample, 'ignored_instances') * people_scale:
        _dashed(drawn, box, IGNORED)
        labels.append(('ignored', (int(box[0]), int(box[1])), IGNORED))
    queries = _boxes(sample, 'query_instances') * scale
    for box, number in zip(
        queries, _field(sample, 'query_instances', 'query_ids'), strict=True
    ):
        _frame(drawn, box, ASKED, 4)
        # below, so that the name of the person stays readable above
        at = (int(box[0]), int(box[3]) + 14)
        labels.append((f'query {number}', at, ASKED))
    for text, at, colour in labels:  # last: no frame crosses a name
        label(drawn, text, at, colour)
    height, width = picture.shape[:2]
    flipped = ', flipped' if sample.get('flip') else ''
    text = f'{sample.img_name}, {width} x {height}{flipped}'
    return stack([heading(f'{kind}: {text}' if kind else text, 1), drawn])


def names_of(dataset) -> Sequence[str]:
    """Identity row -> name, of the training or the test identities."""
    meta = dataset.metainfo
    return meta.get('identity_names') or meta.get('test_identity_names', ())


def _draw_people(
    picture: np.ndarray,
    sample: DetDataSample,
    scale: np.ndarray,
    names: Sequence[str],
) -> list[tuple[str, tuple[int, int], tuple[int, int, int]]]:
    """Draw the frames; returns text, place and colour of the labels."""
    labels = []
    shared = sample.get('pair_identity')
    boxes = _boxes(sample, 'gt_instances') * scale
    ids = _field(sample, 'gt_instances', 'instances_ids')
    # those without identity first: the others are drawn over them
    for row in np.argsort(ids, kind='stable'):
        box, identity = boxes[row], int(ids[row])
        if identity < 0:
            _frame(picture, box, NOBODY, 2)
            continue
        colour = RIGHT if identity == shared else colour_of(identity)
        _frame(picture, box, colour, 4 if identity == shared else 2)
        at = (int(box[0]), int(box[1]))
        labels.append((names[identity], at, colour))
    return labels


def colour_of(identity: int) -> tuple[int, int, int]:
    """A strong colour, far from that of the next identities."""
    hue = identity * 0.61803398875 % 1  # golden ratio: evenly spread
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.75)
    return tuple(round(255 * part) for part in (blue, green, red))


def _boxes(sample: DetDataSample, name: str) -> np.ndarray:
    instances = sample.get(name)
    if instances is None or 'bboxes' not in instances:
        return np.zeros((0, 4))
    return instances.bboxes.numpy().astype(np.float64).reshape(-1, 4)


def _field(sample: DetDataSample, name: str, field: str) -> np.ndarray:
    instances = sample.get(name)
    if instances is None or field not in instances:
        return np.full(len(_boxes(sample, name)), -1)
    return instances[field].numpy()


def _frame(
    picture: np.ndarray, box: np.ndarray, colour: tuple, width: int
) -> None:
    x1, y1, x2, y2 = (round(value) for value in box.tolist())
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, width)


def _dashed(picture: np.ndarray, box: np.ndarray, colour: tuple) -> None:
    x1, y1, x2, y2 = (round(value) for value in box.tolist())
    for x in range(x1, x2, 12):
        for y in (y1, y2):
            cv2.line(picture, (x, y), (min(x + 6, x2), y), colour, 2)
    for y in range(y1, y2, 12):
        for x in (x1, x2):
            cv2.line(picture, (x, y), (x, min(y + 6, y2)), colour, 2)
