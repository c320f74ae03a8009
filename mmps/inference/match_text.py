"""Show matches to people (a table) and to programs (JSON values)."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from mmps.evaluation.result_text import to_text

from .matches import Match


def list_matches(matches: Sequence[Match]) -> str:
    """Text of a ranking: a table, or that nobody was found."""
    if not matches:
        return 'nobody was found'
    timed = any(match.source.timestamp is not None for match in matches)
    table = Table()
    for name in ('rank', 'similarity', 'score', 'x1', 'y1', 'x2', 'y2'):
        table.add_column(name, justify='right', no_wrap=True)
    if timed:
        table.add_column('time', justify='right', no_wrap=True)
        table.add_column('frame', justify='right', no_wrap=True)
    table.add_column('image', no_wrap=True)
    for rank, match in enumerate(matches, 1):
        table.add_row(
            str(rank),
            f'{match.similarity:.3f}',
            f'{match.score:.2f}',
            *(f'{value:.0f}' for value in match.box),
            *_when(match, timed),
            # a Text: brackets in a name are no markup
            Text(match.source.image or f'pixels {match.position}'),
        )
    return to_text(table)


def as_json(matches: Sequence[Match]) -> list[dict]:
    """Fields of each match, unrounded, best first."""
    return [
        dict(
            image=match.source.image,
            position=match.position,
            box=match.box,
            similarity=match.similarity,
            score=match.score,
            frame=match.source.frame,
            timestamp=match.source.timestamp,
        )
        for match in matches
    ]


def clock(seconds: float | None) -> str:
    """'1:02.5', '1:00:02.5', or nothing for an image."""
    if seconds is None:
        return ''
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f'{tenths // 10:02d}.{tenths % 10}'
    return f'{hours}:{minutes:02d}:{rest}' if hours else f'{minutes}:{rest}'


def _when(match: Match, timed: bool) -> tuple[str, ...]:
    if not timed:
        return ()
    _, frame, timestamp = match.source
    return clock(timestamp), '' if frame is None else str(frame)
