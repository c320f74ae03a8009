"""A sheet of what a search has found: the query, then the best matches."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmps.inference.match_text import clock
from mmps.inference.matches import Match

from .canvas import BORDER, QUERY, TILE_WIDTH, save, shortened, tile

#: Frames of matches, blue green red: nobody knows yet who is right.
MATCH = (70, 70, 70)
SCALE, COLUMNS = 1.5, 5
#: Pixels between tiles, and more beside the query.
SPACE, GAP = 6, 18


def save_match_sheet(
    query: tuple[np.ndarray, Sequence[float], str],
    matches: Sequence[Match],
    pictures: Sequence[np.ndarray],
    out: str | Path,
    *,
    blur: bool = False,
    times: Sequence[str] | None = None,
) -> None:
    """Write the query on the left and the matches beside it, best first.

    Below each match: rank and similarity, the name of the file, and of a
    video the time.

    Args:
        query: Picture (H, W, 3) uint8, box and name.
        matches: In the order of their ranks; may be none.
        pictures: For each match (H, W, 3) uint8, the picture that it was found
            in.
        out: Picture to write.
        blur: Blur all that lies outside the box of the query or match, so
            that nobody else can be recognised.
        times: For each match, what is written in place of its time.

    Raises:
        OSError: The picture cannot be written.
    """
    if times is None:
        times = [clock(match.source.timestamp) for match in matches]
    timed = any(times)
    picture, box, name = query
    captions = ['query', Path(name).name, *([''] if timed else [])]
    tiles = [_tile(picture, box, QUERY, captions, blur)]
    for rank, (match, picture, time) in enumerate(
        zip(matches, pictures, times, strict=True), 1
    ):
        image = match.source.image
        name = Path(image).name if image else 'pixels'
        captions = [f'{rank}.   {match.similarity:.3f}', name]
        if timed:
            captions.append(time)
        tiles.append(_tile(picture, match.box, MATCH, captions, blur))
    save(_arranged(tiles[0], tiles[1:]), out)


def blurred_outside(picture: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """A copy where only the box is sharp.

    Args:
        picture: (H, W, 3) uint8.
        box: x1, y1, x2, y2 in its pixels.
    """
    sigma = max(8.0, picture.shape[0] / 30)
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma)
    x1, y1 = (max(0, int(np.floor(value))) for value in box[:2])
    x2, y2 = (max(0, int(np.ceil(value))) for value in box[2:])
    blurred[y1:y2, x1:x2] = picture[y1:y2, x1:x2]
    return blurred


def _tile(
    picture: np.ndarray,
    box: Sequence[float],
    colour: tuple[int, int, int],
    captions: list[str],
    blur: bool,
) -> np.ndarray:
    if blur:
        picture = blurred_outside(picture, box)
    width = round(TILE_WIDTH * SCALE) + BORDER
    lines = [shortened(caption, width) for caption in captions]
    return tile(picture, box, colour, *lines, scale=SCALE)


def _arranged(query: np.ndarray, tiles: list[np.ndarray]) -> np.ndarray:
    """The query, a gap, and the tiles in rows."""
    height, width = query.shape[0] + SPACE, query.shape[1] + SPACE
    columns = min(COLUMNS, max(1, len(tiles)))
    rows = max(1, -(-len(tiles) // columns))
    sheet = np.full(
        (rows * height, (columns + 1) * width + GAP, 3), 255, np.uint8
    )
    sheet[: query.shape[0], : query.shape[1]] = query
    for number, one in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * height, (column + 1) * width + GAP
        sheet[top : top + one.shape[0], left : left + one.shape[1]] = one
    return cv2.copyMakeBorder(
        sheet, *(8, 2, 8, 2), cv2.BORDER_CONSTANT, value=(255, 255, 255)
    )
