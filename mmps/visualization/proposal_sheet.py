"""Where a query-guided network looks first, beside the RPN alone."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmps.evaluation.features import iou
from mmps.evaluation.proposal_recall import Case
from mmps.structures import Query

from .canvas import (
    CAPTION,
    INK,
    QUERY,
    RIGHT,
    WHITE,
    WRONG,
    draw_text,
    read,
    save,
    stack,
    tile,
)


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
        paths: Path of every image of the test set.
        queries: metainfo['queries'] of the test set.
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
        wanted = tile(read(paths[query.image]), query.bbox, QUERY, 'query')
        line = [wanted]
        for name, proposals, place in (
            ('RPN', case.rpn[:top], case.rpn_rank),
            ('RPN + QRPN', case.guided[:top], case.guided_rank),
        ):
            on_person = iou(proposals, case.bbox) >= 0.5
            scene = _scene(
                paths[case.image],
                proposals,
                on_person,
                wanted.shape[0],
                f'{name}: {f"person at {place}" if place else "not found"}',
            )
            line.append(scene)
        lines.append(np.hstack(line))
    save(stack(lines), out)


def _scene(
    path: str | Path,
    bboxes: np.ndarray,
    right: np.ndarray,
    height: int,
    caption: str,
) -> np.ndarray:
    """A whole image with numbered boxes, as high as a tile."""
    picture = read(path)
    scale = (height - CAPTION) / picture.shape[0]
    picture = cv2.resize(
        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )
    for rank_, (bbox, good) in enumerate(zip(bboxes, right, strict=True), 1):
        colour = RIGHT if good else WRONG
        x1, y1, x2, y2 = (round(float(v) * scale) for v in bbox)
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 1)
        draw_text(picture, str(rank_), (x1 + 2, y1 + 11), colour)
    scene = cv2.copyMakeBorder(
        picture,
        2,
        height - picture.shape[0] - 2,
        4,
        4,
        cv2.BORDER_CONSTANT,
        value=WHITE,
    )
    draw_text(scene, caption, (4, height - 4), INK)
    return scene
