"""An exported network on onnxruntime: neither torch nor mmdet is needed.

Symbols used in this file:
    H, W    height and width of a scaled picture
    M       detections of one picture
    D       size of an embedding
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmps.datasets.decoding import read_pixels
from mmps.datasets.pictures import check_size
from mmps.errors import InputError
from mmps.evaluation.features import iou

from .advice import SAME_PERSON, about_synthetic
from .onnx_boxes import decode, nms, person_scores, propose, sigmoid
from .onnx_metadata import REID, Metadata, Resize
from .onnx_session import Graph, network_files, session_options
from .people import People, inside
from .scenes import Scene

#: No boxes.
_NONE = np.zeros((0, 4), np.float32)


def is_exported(model: str | PathLike) -> bool:
    """Whether this is the place of an exported network, by its name."""
    path = Path(model)
    return path.suffix == '.onnx' or path.is_dir()


class OnnxNetwork:
    """A ``SearchNetwork`` that ``mmps export`` has written.

    Args:
        path: A folder with scene.onnx or single.onnx, or one of its files.
        device: 'cpu' or 'cuda' (which needs onnxruntime-gpu); a GPU if
            onnxruntime has one for None.

    Raises:
        InputError: A file is missing, damaged, of another network than its
            neighbours or no network of mmps; or there is no onnxruntime.
        ValueError: No such device.
    """

    query_guided = False

    def __init__(
        self, path: str | PathLike, device: str | None = None
    ) -> None:
        files = network_files(path)
        self.metadata: Metadata = files[0][1]
        options = session_options(device)
        self._graphs = {
            metadata.part: Graph(file, metadata, *options)
            for file, metadata in files
        }
        self.fingerprint = self.metadata.fingerprint
        self.det_thr = self.metadata.det_thr
        self.match_threshold = self.metadata.match_threshold
        self.note = about_synthetic(
            self.metadata.network, self.metadata.training_data
        )

    def read(self, scene: Scene) -> np.ndarray:
        """As of ``SearchNetwork``."""
        path = scene.source.image
        if scene.pixels is None:
            return read_pixels(path)
        height, width = scene.pixels.shape[:2]
        check_size(width, height, path or 'the picture given as pixels')
        return scene.pixels

    def prepare(
        self, scene: Scene, box: Sequence | None = None
    ) -> dict[str, Any]:
        """As of ``SearchNetwork``.

        Returns:
            ``inputs`` (3, H, W) float32, ``factor`` (4,) from original to
            scaled pixels and, with a box, ``box`` (4,) in original pixels.
        """
        pixels = self.read(scene)
        height, width = pixels.shape[:2]
        name = scene.source.image or 'the picture given as pixels'
        item = {}
        if box is not None:
            item['box'] = np.float32(inside(box, height, width, name))
        scaled = scale(pixels, self.metadata.resize)
        across, down = scaled.shape[1] / width, scaled.shape[0] / height
        inputs = scaled.transpose(2, 0, 1).astype(np.float32)
        return dict(
            item,
            inputs=np.ascontiguousarray(inputs),
            factor=np.array([across, down, across, down]),
        )

    def embed(self, item: dict[str, Any]) -> np.ndarray:
        """As of ``SearchNetwork``; 'single' embeds detections alone.

        Raises:
            InputError: Of a 'single' network, if nobody is detected there.
        """
        box = item['box']
        if self.metadata.layout == 'split':
            c4 = self._graphs['scene'](item['inputs'][None])[0]
            return self._embed(c4, box[None] * np.float32(item['factor']))[0]
        people = self._single(item)
        overlaps = iou(people.bboxes, box)
        if max(overlaps, default=0.0) < SAME_PERSON:
            raise InputError(
                self._graphs['single'].path,
                'embeds whom it detects, and the best overlap of anybody '
                f'with the query box is {max(overlaps, default=0.0):.2f}, '
                f'expected {SAME_PERSON} or more',
                'Give the box of a detection (--pick), or export the network '
                'with --layout split, which embeds any box',
            )
        return people.embeddings[overlaps.argmax()]

    def detect(self, items: Sequence[dict[str, Any]]) -> list[People]:
        """As of ``SearchNetwork``; one picture after the other."""
        if self.metadata.layout == 'single':
            return [self._single(item) for item in items]
        return [self.detect_and_embed(item, _NONE)[0] for item in items]

    def detect_and_embed(
        self, item: dict[str, Any], boxes: np.ndarray
    ) -> tuple[People, np.ndarray]:
        """People of a picture, and embeddings of given boxes.

        Needs the 'split' layout.

        Args:
            item: From ``prepare``.
            boxes: (K, 4) float32 in original pixels; K may be 0.

        Returns:
            The people, and (K, D) float32.
        """
        c4, logits, deltas = self._graphs['scene'](item['inputs'][None])
        rois = self._propose(logits, deltas, item)
        given = np.zeros((0, self.metadata.embedding_size), np.float32)
        if len(boxes):
            given = self._embed(c4, boxes * np.float32(item['factor']))
        return self._detect(c4, rois, item), given

    def inputs_of(
        self, part: str, scenes: Iterable[Scene]
    ) -> Iterator[dict[str, np.ndarray]]:
        """What a graph gets of each picture, by name; to calibrate it.

        Args:
            part: Name of the graph.
            scenes: Pictures.
        """
        for scene in scenes:
            item = self.prepare(scene)
            image = item['inputs'][None]
            if part in ('scene', 'single'):
                yield {'image': image}
                continue
            c4, logits, deltas = self._graphs['scene'](image)
            boxes = self._propose(logits, deltas, item)
            if part == REID:
                boxes = self._first(c4, boxes, item)[0]
            if len(boxes):
                yield {'c4': c4, 'rois': boxes}

    def _single(self, item: dict[str, Any]) -> People:
        bboxes, scores, embeddings = self._graphs['single'](
            item['inputs'][None]
        )
        return People(_original(bboxes, item), scores, embeddings)

    def _propose(
        self, logits: np.ndarray, deltas: np.ndarray, item: dict[str, Any]
    ) -> np.ndarray:
        about, size = self.metadata, item['inputs'].shape[1:]
        return propose(logits, deltas, about.anchors, about.proposals, size)

    def _detect(
        self, c4: np.ndarray, rois: np.ndarray, item: dict[str, Any]
    ) -> People:
        boxes, scores, embeddings = self._first(c4, rois, item)
        if self.metadata.second is not None:
            size = item['inputs'].shape[1:]
            boxes, scores, embeddings = self._second(c4, boxes, scores, size)
        elif self.metadata.detections.embed_on == 'refined':
            embeddings = self._embed(c4, boxes)
        return People(_original(boxes, item), scores, embeddings)

    def _first(
        self, c4: np.ndarray, rois: np.ndarray, item: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Boxes, scores and, of the only head, embeddings."""
        rule, size = self.metadata.detections, item['inputs'].shape[1:]
        logits, deltas, *embeddings = self._graphs['people'](c4, rois)
        scores = person_scores(logits)
        boxes = decode(rois, deltas, rule.coder, size)
        kept = np.flatnonzero(scores >= rule.score_thr)
        kept = kept[
            nms(
                *(boxes[kept], scores[kept]),
                *(rule.iou_threshold, rule.max_per_img),
            )
        ]
        found = embeddings[0][kept] if embeddings else None
        return boxes[kept], scores[kept], found

    def _second(
        self,
        c4: np.ndarray,
        boxes: np.ndarray,
        scores: np.ndarray,
        size: tuple[int, int],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes, scores and embeddings of the second of two heads."""
        rule = self.metadata.second
        logits, deltas, embeddings = self._graphs[REID](c4, boxes)
        boxes = decode(boxes, deltas, rule.coder, size)
        if rule.score == 'norm':
            scores = sigmoid(logits)
        kept = nms(
            *(boxes, scores, rule.iou_threshold),
            self.metadata.detections.max_per_img,
        )
        return boxes[kept], scores[kept], embeddings[kept]

    def _embed(self, c4: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """(N, D) of boxes in pixels of the scaled picture."""
        two_heads = self.metadata.second is not None
        graph = self._graphs[REID if two_heads else 'people']
        return graph(c4, boxes.astype(np.float32))[-1]


def scale(pixels: np.ndarray, rule: Resize) -> np.ndarray:
    """Scale a picture as the test pipeline of the network does.

    Args:
        pixels: (h, w, 3) uint8.
        rule: Of the network.

    Returns:
        (H, W, 3), uint8 or, of sides that are rounded down, float32.
    """
    height, width = scaled_size(*pixels.shape[:2], rule)
    if rule.rounding == 'down':
        pixels = pixels.astype(np.float32)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)


def scaled_size(height: int, width: int, rule: Resize) -> tuple[int, int]:
    """Height and width of a picture after ``scale``."""
    factor = min(
        rule.long / max(height, width), rule.short / min(height, width)
    )
    if rule.rounding == 'down':
        # as FloatResize: a hair more, since 900 / 1080 * 1080 may be < 900
        return tuple(math.floor(s * factor + 1e-6) for s in (height, width))
    return tuple(int(side * factor + 0.5) for side in (height, width))


def _original(boxes: np.ndarray, item: dict[str, Any]) -> np.ndarray:
    return boxes * np.float32(1 / item['factor'])
