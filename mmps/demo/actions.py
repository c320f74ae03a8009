"""What happens on the page, in plain values: Gradio is not needed here.

Every action returns what the page shows afterwards; of bad input that is a
message, and what was there before.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmps.inference import GalleryStore, Where
from mmps.inference.groups import Group
from mmps.inference.inferencer import Progress
from mmps.inference.match_text import left_out, moment, span
from mmps.inference.origins import parse_where

from .drawing import drawn_person, drawn_query, drawn_scene, shown_scale
from .examples import Example, Examples
from .picking import Query
from .searcher import RERANK, Found, Searcher, files_uploaded, gallery_in

#: What people can do wrong, or a file; anything else is a fault of ours.
WRONG = (OSError, RuntimeError, TypeError, ValueError)
#: Where to search.
DRAWN, FOLDER, UPLOADS = GALLERIES = ('drawn scenes', 'folder', 'upload')

HOW = '1. Whom? Click a person, or two opposite corners around somebody.'
CORNER = '1. Now click the opposite corner.'
PICKED = '1. Picked. Click somebody else, or search.'
NOBODY = (
    '1. Nobody was detected in this picture: click two opposite corners '
    'around a person.'
)
#: Pictures with their captions.
Shown = list[tuple[np.ndarray, str]]


class View(NamedTuple):
    """The picture and the box on the page.

    Attributes:
        query: To be remembered.
        picture: (H, W, 3) uint8, red green blue; None: none yet.
        x1, y1, x2, y2: Of the box; None: nobody picked.
        message: What to do next.
        is_bad: Whether the message says what was wrong.
    """

    query: Query | None
    picture: np.ndarray | None
    x1: float | None
    y1: float | None
    x2: float | None
    y2: float | None
    message: str
    is_bad: bool


class Results(NamedTuple):
    """What a search shows.

    Attributes:
        people: Matches alone, best first.
        scenes: The whole pictures they are in.
        message: What was found, or wrong.
        is_bad: Whether it was wrong.
    """

    people: Shown
    scenes: Shown
    message: str
    is_bad: bool


class Actions:
    """All that one can do on the page.

    Args:
        searcher: Finds people.
        examples: Scenes to try it with.
    """

    def __init__(self, searcher: Searcher, examples: Examples) -> None:
        self.searcher = searcher
        self.examples = examples

    def example(self, number: int, offer: bool) -> View:
        """Take an example, with its box."""
        chosen: Example = self.examples.queries[number]
        return _viewed(
            None,
            offer,
            lambda: self.searcher.query(chosen.image).with_box(chosen.box),
        )

    def upload(
        self,
        query: Query | None,
        path: str,
        offer: bool,
        seconds: float = 0.0,
    ) -> View:
        """Take a picture of one's own, or a frame of a video."""
        view = _viewed(
            query, offer, lambda: self.searcher.query(path, seconds)
        )
        return view._replace(message=_said(view.message, [path]))

    def click(
        self, query: Query | None, x: float, y: float, offer: bool
    ) -> View:
        """Click on the picture, ``x`` and ``y`` in pixels as it is shown."""

        def clicked() -> Query:
            scale = shown_scale(_needed(query).picture)
            return query.clicked(x / scale, y / scale, offer)

        return _viewed(query, offer, clicked)

    def numbers(
        self,
        query: Query | None,
        numbers: Sequence[float | None],
        offer: bool,
    ) -> View:
        """Type a box."""
        return _viewed(query, offer, lambda: _as_typed(query, numbers))

    def offer(self, query: Query | None, offer: bool) -> View:
        """Show people to click on, or not."""
        return _viewed(query, offer, lambda: query)

    def search(
        self,
        query: Query | None,
        numbers: Sequence[float | None],
        where: str,
        folder: str | None,
        uploads: Sequence[str] | None,
        *,
        top: int,
        least: float,
        every: int,
        blur: bool,
        cameras: str | None = None,
        after: str | None = None,
        before: str | None = None,
        min_score: float | None = None,
        progress: Progress | None = None,
    ) -> Results:
        """Search.

        Args:
            query: Picture and box.
            numbers: The box as the page shows it.
            where: One of ``GALLERIES``.
            folder: Path, as typed.
            uploads: Paths of uploaded files.
            top: How many matches; an appearance in a video is one.
            least: Matches that are less similar are left out.
            every: Each so many frames of a video.
            blur: Blur everything but the matches.
            cameras: Of an archive, names between commas.
            after: Of an archive, a time or an age, see ``parse_time``.
            before: As ``after``.
            min_score: Detections with a lower score are left out.
            progress: Shows how far a new gallery has been read.
        """
        try:
            gallery = self._gallery(where, folder, uploads)
            found = self.searcher.search(
                _as_typed(query, numbers),
                gallery,
                top=_whole(top, 'matches'),
                every=_whole(every, 'every'),
                least=least,
                where=_conditions(gallery, cameras, after, before, min_score),
                progress=progress,
            )
        except WRONG as error:
            return Results([], [], _said(str(error), uploads), True)
        guided = self.searcher.inferencer.query_guided
        lines = [_lines(*ranked) for ranked in enumerate(found.groups, 1)]
        people, scenes = (
            [
                (draw(picture, group.best.box, blur), between.join(words))
                for picture, group, words in zip(
                    found.pictures, found.groups, lines, strict=True
                )
            ]
            for draw, between in ((drawn_person, '\n'), (drawn_scene, ' · '))
        )
        return Results(people, scenes, _summary(found, least, guided), False)

    def _gallery(
        self, where: str, folder: str | None, uploads: Sequence[str] | None
    ) -> list[str] | GalleryStore:
        if where == FOLDER:
            return gallery_in(folder)
        if where == UPLOADS:
            return files_uploaded(uploads)
        if where == DRAWN:
            return self.examples.gallery
        raise ValueError(
            f'the gallery is one of {", ".join(GALLERIES)}, got {where!r}'
        )


def _conditions(
    gallery: list[str] | GalleryStore,
    cameras: str | None,
    after: str | None,
    before: str | None,
    min_score: float | None,
) -> Where | None:
    """What was typed about the people to be looked at; None for nothing."""
    names = [name.strip() for name in (cameras or '').split(',')]
    names = [name for name in names if name] or None
    times = [(text or '').strip() or None for text in (after, before)]
    asked = parse_where(names, *times, min_score or None)
    of_archives = names is not None or times != [None, None]
    if of_archives and not isinstance(gallery, GalleryStore):
        raise ValueError(
            'cameras and times are those of an archive: type the path of '
            'one, or leave these options empty'
        )
    return asked


def _viewed(
    query: Query | None, offer: bool, change: Callable[[], Query | None]
) -> View:
    """What is shown after a change, or what was wrong with it."""
    wrong = None
    try:
        query = change()
    except WRONG as error:
        wrong = str(error)
    if query is None:
        return View(None, *[None] * 5, wrong or HOW, wrong is not None)
    box = query.box or (None,) * 4
    picture = drawn_query(query, offer)
    return View(query, picture, *box, wrong or _next(query), wrong is not None)


def _next(query: Query) -> str:
    if query.corner is not None:
        return CORNER
    if query.box is not None:
        return PICKED
    return HOW if len(query.people) else NOBODY


def _needed(query: Query | None) -> Query:
    if query is None:
        raise ValueError('there is no picture yet: pick an example')
    return query


def _as_typed(
    query: Query | None, numbers: Sequence[float | None]
) -> Query | None:
    """The query with the box that the page shows.

    The page shows whole numbers: those that are the box's stand for it.
    """
    if query is None or all(number is None for number in numbers):
        return query
    if query.box is not None and [round(v) for v in query.box] == list(
        numbers
    ):
        return query
    return query.with_box(numbers)


def _whole(value: float | None, name: str) -> int:
    if value is None or value != int(value) or value < 1:
        raise ValueError(
            f'{name} must be a whole number of at least 1, got {value}'
        )
    return int(value)


def _said(message: str, uploads: Sequence[str] | None) -> str:
    """The message, with uploaded files as their owner knows them."""
    for path in uploads or []:
        message = message.replace(path, Path(path).name)
    return message


def _lines(rank: int, group: Group) -> list[str]:
    """What is written below a match, or an appearance in a video."""
    match = group.best
    frames = len(group.matches)
    parts = [
        f'{rank}.  similarity {match.similarity:.2f}',
        f'detection {match.score:.2f}',
        match.source.camera or '',
        moment(match.source.time),
        Path(match.source.image).name,
        span(group),
        f'{frames} frames' if frames > 1 else '',
    ]
    return [part for part in parts if part]


def _summary(found: Found, least: float, guided: bool) -> str:
    text = _compared(found, least, guided)
    if found.left_out:
        names = ', '.join(Path(path).name for path in found.left_out)
        text += f' {left_out(len(found.left_out))}: {names}.'
    return text


def _compared(found: Found, least: float, guided: bool) -> str:
    if found.num_images is None:
        among = f'An archive of {found.num_people} people was searched'
        if found.missed is not None:
            among += (
                ' by its index, which may miss '
                f'{100 * found.missed:.0f} % of the best matches'
            )
    elif not found.num_people:
        return f'Nobody was found in {found.num_images} pictures.'
    else:
        among = (
            f'{found.num_people} people in {found.num_images} pictures were '
            'compared'
        )
    if guided:
        among += f', the {RERANK} best pictures again together with the query'
    if not found.groups:
        nobody = 'Nobody that was asked for'
        if found.num_images is not None:
            nobody = 'Nobody'
        return f'{among}. {nobody} is at least {least:.2f} similar.'
    return f'{among}. The most similar first.'
