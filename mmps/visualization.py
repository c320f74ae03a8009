"""Pictures of what a search found.

Symbols used in this file:
    M   detections of all images together, after the score cut
    k   ranked detections that are shown
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mmps.evaluation.evaluate import select
from mmps.evaluation.features import Boxes, Features, iou
from mmps.evaluation.proposal_recall import Case
from mmps.evaluation.search import Positives, candidates, listings, on_grid
from mmps.structures import Query
from mmps.tiles import (
    CAPTION,
    QUERY,
    read_picture,
    save_picture,
    tile_of,
    write_text,
)

#: Colours of frames, blue green red.
RIGHT, WRONG = (0, 160, 0), (0, 0, 210)


class Ranking(NamedTuple):
    """The best detections for one query.

    Attributes:
        rows: (k,) of the detections, in falling similarity.
        similarity: (k,) cosine to the query.
        is_right: (k,) bool, whether it is the true positive of its image.
    """

    rows: np.ndarray
    similarity: np.ndarray
    is_right: np.ndarray


def rank(
    features: Features, boxes: Boxes, protocol: str, position: int, top: int
) -> Ranking:
    """Rank the gallery of one query, as the score does.

    Args:
        features: Of the whole test set.
        boxes: Its detections after the score cut.
        protocol: Name of the protocol.
        position: Which of its queries.
        top: k.
    """
    asked = features.protocols[protocol]
    gallery = asked.galleries[position]
    query = features.query_embeddings[int(asked.queries[position])]
    listed = listings(protocol, position, gallery, boxes.num_images)
    rows = candidates(listed, boxes, 'seqnet')
    similarity = on_grid(boxes.embeddings[rows]) @ on_grid(query)
    best = np.argsort(-similarity, kind='stable')[:top]
    on_person = Positives.find(protocol, boxes, asked, 'seqnet')
    start, end = on_person.offsets[position : position + 2]
    matched = set()
    for entry in np.unique(on_person.entry[start:end]):
        near = on_person.rows[start:end][on_person.entry[start:end] == entry]
        values = on_grid(boxes.embeddings[near]) @ on_grid(query)
        matched.add(int(near[values.argmax()]))
    right = np.array([int(row) in matched for row in rows[best]], bool)
    return Ranking(rows[best], similarity[best], right)


def ranking_sheet(
    features: Features,
    image_dir: str | Path,
    protocol: str,
    positions: list[int],
    *,
    det_thr: float = 0.5,
    top: int = 8,
) -> np.ndarray:
    """Draw one line per query: the query, then what was ranked first.

    Blue frames are queries, green ones the person, red ones someone else;
    the number is the cosine similarity.

    Args:
        features: Of the whole test set.
        image_dir: Folder of the images.
        protocol: Name of the protocol.
        positions: Which of its queries.
        det_thr: Detections below this score are not there.
        top: Detections per query.

    Returns:
        (height, width, 3) uint8, blue green red.
    """
    boxes = features.detections.above(det_thr)
    lines = []
    for position in positions:
        number = int(features.protocols[protocol].queries[position])
        query = features.queries[number]
        shown = [(query.image, query.bbox, QUERY, 'query')]
        best = rank(features, boxes, protocol, position, top)
        for row, value, right in zip(*best, strict=True):
            colour = RIGHT if right else WRONG
            image = int(boxes.image[row])
            shown.append((image, boxes.bboxes[row], colour, f'{value:.2f}'))
        line = [
            tile_of(
                read_picture(Path(image_dir) / features.image_names[image]),
                *what,
            )
            for image, *what in shown
        ]
        blank = np.full_like(line[0], 255)
        line += [blank] * (top + 1 - len(line))
        lines.append(np.hstack(line))
    return np.vstack(lines)


def save_ranking_sheet(
    features: Features,
    image_dir: str | Path,
    out: str | Path,
    *,
    protocol: str,
    num_queries: int = 6,
    top: int = 8,
    det_thr: float = 0.5,
) -> None:
    """Write a sheet of queries that are spread evenly over a protocol.

    Raises:
        ValueError: The protocol is not in the features.
        FileNotFoundError: An image is not in ``image_dir``.
        OSError: The picture cannot be written.
    """
    select(features.protocols, [protocol])
    available = len(features.protocols[protocol].queries)
    chosen = np.linspace(0, available - 1, min(num_queries, available))
    sheet = ranking_sheet(
        features,
        image_dir,
        protocol,
        [int(position) for position in chosen],
        det_thr=det_thr,
        top=top,
    )
    save_picture(sheet, out)


def save_proposal_sheet(
    cases: list[Case],
    paths: list[str],
    queries: Sequence[Query],
    out: str | Path,
    *,
    num_cases: int = 6,
    top: int = 5,
) -> None:
    """Draw the first proposals without and with the query, side by side.

    One line per pair, spread evenly over all of them: the query, the first
    ``top`` proposals of the RPN, those of RPN + QRPN. Green boxes lie on the
    person, red ones elsewhere; the number is the rank, and the person's is
    below.

    Args:
        cases: See ``evaluation.proposal_recall``.
        paths: Of all images of the test set.
        queries: Of the test set.
        out: Picture to write.
        num_cases: Lines.
        top: Proposals in each picture.

    Raises:
        FileNotFoundError: An image is missing.
        OSError: The picture cannot be written.
    """
    chosen = np.linspace(0, len(cases) - 1, min(num_cases, len(cases)))
    lines = []
    for case in (cases[int(position)] for position in chosen):
        query = queries[case.query]
        tile = tile_of(
            read_picture(paths[query.image]), query.bbox, QUERY, 'query'
        )
        line = [tile]
        for name, proposals, place in (
            ('RPN', case.rpn[:top], case.rpn_rank),
            ('RPN + QRPN', case.guided[:top], case.guided_rank),
        ):
            on_person = iou(proposals, case.bbox) >= 0.5
            scene = _scene(
                paths[case.image],
                proposals,
                on_person,
                tile.shape[0],
                f'{name}: {f"person at {place}" if place else "not found"}',
            )
            line.append(scene)
        lines.append(np.hstack(line))
    width = max(line.shape[1] for line in lines)
    sheet = np.vstack(
        [
            np.pad(
                line,
                ((0, 0), (0, width - line.shape[1]), (0, 0)),
                constant_values=255,
            )
            for line in lines
        ]
    )
    save_picture(sheet, out)


def _scene(
    path: str | Path,
    bboxes: np.ndarray,
    right: np.ndarray,
    height: int,
    caption: str,
) -> np.ndarray:
    """A whole image with numbered boxes, as high as a tile."""
    picture = read_picture(path)
    scale = (height - CAPTION) / picture.shape[0]
    picture = cv2.resize(
        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )
    for rank_, (bbox, good) in enumerate(zip(bboxes, right, strict=True), 1):
        colour = RIGHT if good else WRONG
        x1, y1, x2, y2 = (round(float(v) * scale) for v in bbox)
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 1)
        write_text(picture, str(rank_), (x1 + 2, y1 + 11), colour)
    scene = cv2.copyMakeBorder(
        picture,
        *(2, height - picture.shape[0] - 2, 4, 4),
        cv2.BORDER_CONSTANT,
        value=(255, 255, 255),
    )
    write_text(scene, caption, (4, height - 4), (60, 60, 60))
    return scene
