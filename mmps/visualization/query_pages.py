"""A folder of pictures, one per query, and a page to leaf through them."""

import re
from collections.abc import Sequence
from pathlib import Path

from mmps.evaluation.rankings import Search, SearchedQuery
from mmps.evaluation.scoring import select

from .canvas import save
from .pages import Picture, Section, write_index
from .ranking_sheet import query_sheet

#: What the frames mean.
LEGEND = (
    'Dark: the query. Green: the person. Red: someone else. Blue: the person '
    'in images where none of the first detections is correct; "at 57" is the '
    'rank of the correct one, "no box" means that no detection overlaps the '
    'person. Numbers are similarities.'
)


def save_query_pages(
    search: Search,
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    protocol: str | None = None,
    num_each: int | None = None,
    top: int = 8,
) -> list[Path]:
    """Draw the queries of a protocol, and write ``index.html`` beside.

    A file is called ``<place>_ap<AP>_q<query>_<person>_<image>.jpg``, where
    place 1 has the lowest average precision. Queries whose gallery does not
    show the person have none and are not drawn.

    Args:
        search: Rankings of a test, see ``rankings.Search``.
        paths: (I,) of all images.
        out: Folder; it is made if it does not exist.
        protocol: Name; the first one for None.
        num_each: So many of the worst and of the best; all for None.
        top: Detections per query.

    Returns:
        The pictures, worst query first.

    Raises:
        ValueError: No such protocol, or one without a query that shows.
    """
    protocol = choose(search, protocol)
    lines = search.worst_first(protocol)
    if not lines:
        raise ValueError(
            f"protocol '{protocol}' has no query whose gallery shows the "
            'person; there is nothing to draw'
        )
    worst, best = ends(lines, num_each)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for place in sorted({*worst, *best}):
        file = folder / _name(search, protocol, place + 1, lines[place])
        position = lines[place].position
        save(query_sheet(search, paths, protocol, position, top=top), file)
        files[place] = file
    places = dict(worst=worst, best=best)
    if num_each is None:  # one list, from both ends
        half = len(lines) // 2
        places = dict(worst=worst[:half], best=best[: len(lines) - half])
    write_index(
        folder,
        f'{protocol}: {len(files)} of {len(lines)} queries',
        [LEGEND],
        [
            Section(
                f'{kind.capitalize()} first',
                [
                    Picture(files[p].name, f'{p + 1} of {len(lines)}')
                    for p in chosen
                ],
            )
            for kind, chosen in places.items()
        ],
    )
    return list(files.values())


def choose(search: Search, protocol: str | None) -> str:
    """The protocol of this name, or the first one."""
    if protocol is None and search.protocols:
        return next(iter(search.protocols))
    (name,) = select(dict(search.protocols), [protocol])
    return name


def ends(
    lines: Sequence[SearchedQuery], num_each: int | None
) -> tuple[list[int], list[int]]:
    """Places of the worst, from the front, and of the best, from the back.

    In a short list one may be both.
    """
    places = list(range(len(lines)))
    return places[:num_each], places[::-1][:num_each]


def _name(
    search: Search, protocol: str, place: int, line: SearchedQuery
) -> str:
    number = int(search.protocols[protocol].queries[line.position])
    query = search.queries[number]
    image = Path(search.image_names[query.image]).stem
    who = re.sub(r'[^\w.-]', '_', f'q{number}_{query.identity}_{image}')
    return f'{place:04d}_ap{line.score.average_precision:.2f}_{who}.jpg'
