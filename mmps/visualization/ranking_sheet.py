"""A line per query: who was asked for, what was ranked first, what was missed.

Frames are dark for the query, green for the person, red for someone else and
blue for the person where the search did not show them.

Symbols used in this file:
    I   images of the test set
    k   ranked detections that are shown
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmps.evaluation.features import Features
from mmps.evaluation.rankings import Ranking, Search, search_of_features
from mmps.evaluation.scoring import select

from .canvas import (
    MISSED,
    QUERY,
    RIGHT,
    WRONG,
    heading,
    read,
    save,
    stack,
    tile,
)


def ranking_sheet(
    search: Search,
    paths: Sequence[str | Path],
    protocol: str,
    positions: Sequence[int],
    *,
    top: int = 8,
) -> np.ndarray:
    """Draw one line per query: the query, then what was ranked first.

    Args:
        search: Rankings of a test, see ``rankings.Search``.
        paths: (I,) of all images.
        protocol: Name of the protocol.
        positions: Which of its queries.
        top: k.

    Returns:
        (height, width, 3) uint8, blue green red.
    """
    lines = []
    for position in positions:
        line = [_query(search, paths, protocol, position)]
        line += _found(search.ranking(protocol, position), paths, top)
        lines.append(line)
    return stack([np.hstack(_filled(line, top + 1)) for line in lines])


def query_sheet(
    search: Search,
    paths: Sequence[str | Path],
    protocol: str,
    position: int,
    *,
    top: int = 8,
) -> np.ndarray:
    """Draw one query with its figures, its first detections and the missed.

    Args: as of ``ranking_sheet``; of a line of missed ones at most k are
        shown, and the heading counts all.
    """
    ranking = search.ranking(protocol, position)
    missed = ranking.missed(top)
    first = [_query(search, paths, protocol, position)]
    first += _found(ranking, paths, top)
    second = [np.full_like(first[0], 255)]
    for entry in missed[:top]:
        place = ranking.places[entry]
        caption = f'at {place}' if place else 'no box'
        path = paths[ranking.images[entry]]
        second.append(tile(read(path), ranking.bboxes[entry], MISSED, caption))
    lines = [
        np.hstack(_filled(line, top + 1))
        for line in ([first, second] if len(missed) else [first])
    ]
    width = lines[0].shape[1]
    title = heading(describe(search, protocol, position, ranking), width)
    if len(missed):
        ranked = np.count_nonzero(ranking.places[missed])
        note = (
            f'not among the first {top}: {len(missed)} '
            f'({ranked} ranked behind, {len(missed) - ranked} without a box)'
        )
        lines.insert(1, heading(note, width))
    return stack([title, *lines])


def describe(
    search: Search, protocol: str, position: int, ranking: Ranking
) -> str:
    """One line: who is asked for and how well they were found."""
    number = int(search.protocols[protocol].queries[position])
    query, score = search.queries[number], ranking.score()
    first = (
        f'first correct at {score.rank}' if score.rank else 'none is correct'
    )
    return (
        f'query {number}, {query.identity} in '
        f'{search.image_names[query.image]}, {protocol}: '
        f'AP {score.average_precision:.2f}, found {score.num_found} of '
        f'{score.num_gt}, {first}'
    )


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
        ValueError: The protocol is not in the features, or has no query.
        FileNotFoundError: An image is not in ``image_dir``.
        OSError: The picture cannot be written.
    """
    select(features.protocols, [protocol])
    available = len(features.protocols[protocol].queries)
    if not available:
        raise ValueError(f"protocol '{protocol}' has no query to draw")
    chosen = np.linspace(0, available - 1, min(num_queries, available))
    sheet = ranking_sheet(
        search_of_features(features, det_thr),
        image_paths(features.image_names, image_dir),
        protocol,
        [int(position) for position in chosen],
        top=top,
    )
    save(sheet, out)


def image_paths(names: Sequence[str], image_dir: str | Path) -> list[Path]:
    """Where the images of a test set lie."""
    return [Path(image_dir) / name for name in names]


def _query(
    search: Search,
    paths: Sequence[str | Path],
    protocol: str,
    position: int,
) -> np.ndarray:
    number = int(search.protocols[protocol].queries[position])
    query = search.queries[number]
    return tile(read(paths[query.image]), query.bbox, QUERY, 'query')


def _found(
    ranking: Ranking, paths: Sequence[str | Path], top: int
) -> list[np.ndarray]:
    """Tiles of the first detections; the number is the similarity."""
    boxes = ranking.boxes
    return [
        tile(
            read(paths[boxes.image[row]]),
            boxes.bboxes[row],
            RIGHT if right else WRONG,
            f'{value:.2f}',
        )
        for row, value, right in zip(
            ranking.rows[:top],
            ranking.similarity[:top],
            ranking.is_right[:top],
            strict=True,
        )
    ]


def _filled(tiles: list[np.ndarray], number: int) -> list[np.ndarray]:
    """White tiles behind, so that all lines are equally long."""
    return tiles + [np.full_like(tiles[0], 255)] * (number - len(tiles))
