"""Scenes to try the page with: drawn, so that nobody real is in them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmps.synthetic import Knobs, plan_cuhk_sysu
from mmps.synthetic.generate import draw_picture
from mmps.synthetic.plan import Drawn, Part
from mmps.synthetic.plan_cuhk_sysu import CuhkSysuPlan, CuhkSysuSize

#: As hard as the data that is published with the package, twice as large.
SIZE = CuhkSysuSize(
    picture=(480, 360),
    train=Part(4, 2, 6, 2, 0, 2, 4),
    test=Part(46, 8, 56, 90, 2, 6, 8),
    queries_each=8,
    query_pictures=None,
    galleries=(10,),
    doubles=0,
    repeats=0,
    own=0,
    zero_boxes=0,
    occlusion=1,
    resolution=1,
)


class Example(NamedTuple):
    """Somebody to search for.

    Attributes:
        image: Path.
        box: x1, y1, x2, y2 in its pixels.
    """

    image: str
    box: tuple[float, float, float, float]


class Examples(NamedTuple):
    """Scenes, and people who are in several of them.

    Attributes:
        queries: People, one of each identity, each in a picture of its own.
        gallery: Paths of all other pictures.
    """

    queries: list[Example]
    gallery: list[str]


def draw_examples(
    folder: str | Path,
    *,
    num_queries: int = 6,
    size: CuhkSysuSize = SIZE,
    seed: int = 0,
) -> Examples:
    """Draw scenes into a folder, which must be there.

    Args:
        folder: Where the pictures go.
        num_queries: People to search for; at most the identities of ``size``.
        size: What is drawn; only the test half.
        seed: Decides everything.
    """
    plan = plan_cuhk_sysu.make_plan(size, seed)
    knobs, folder = Knobs(), Path(folder)
    drawn = {
        int(number): draw_picture(
            seed, knobs, folder, (int(number), plan.pictures[number])
        )
        for number in plan.test
    }
    chosen = _clearest(plan, drawn)[:num_queries]
    used = {picture for picture, _ in chosen}
    paths = {k: str(folder / plan.pictures[k].name) for k in drawn}
    return Examples(
        [
            Example(paths[picture], _corners(drawn[picture].bboxes[position]))
            for picture, position in chosen
        ],
        [paths[number] for number in drawn if number not in used],
    )


def _clearest(
    plan: CuhkSysuPlan, drawn: dict[int, Drawn]
) -> list[tuple[int, int]]:
    """One appearance of each identity, best seen first, in its own picture."""
    size = plan.size.picture[0] * plan.size.picture[1]

    def clear(query: int) -> float:
        picture, position = plan.queries[query]
        seen = drawn[picture]
        *_, width, height = seen.bboxes[position].tolist()
        cut = bool(seen.beyond[position].any())
        return seen.visible[position] + width * height / size - cut

    best: dict[int, tuple[int, int]] = {}
    for query in sorted(range(len(plan.queries)), key=clear, reverse=True):
        place = plan.queries[query]
        taken = {picture for picture, _ in best.values()}
        if place[0] not in taken:
            best.setdefault(plan.identity(query), place)
    return list(best.values())


def _corners(bbox: np.ndarray) -> tuple[float, float, float, float]:
    x, y, width, height = (float(value) for value in bbox)
    return x, y, x + width, y + height
