"""Show matches to people (a table) and to programs (JSON values)."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from mmps.evaluation.result_text import to_text

from .groups import Group
from .matches import Match

if TYPE_CHECKING:
    from .lance_store import LanceStore

#: Names in a message; the others are counted.
NAMED = 5


def list_matches(matches: Sequence[Match]) -> str:
    """Text of a ranking: a table, or that nobody was found."""
    if not matches:
        return 'nobody was found'
    timed = any(match.source.timestamp is not None for match in matches)
    table = _table(*(('time', 'frame') if timed else ()))
    for rank, match in enumerate(matches, 1):
        _add(table, rank, match, _when(match) if timed else ())
    return to_text(table)


def list_groups(groups: Sequence[Group]) -> str:
    """Text of a ranking with a line for each group.

    A line shows the best match of its group, from when to when the group
    lasts, and in how many of the frames that were looked at.
    """
    if not groups:
        return 'nobody was found'
    table = _table('from', 'to', 'frames', 'time', 'frame')
    for rank, group in enumerate(groups, 1):
        when = ('',) * 5
        if group.begin is not None:
            when = (
                clock(group.begin),
                clock(group.end),
                str(len(group.matches)),
                *_when(group.best),
            )
        _add(table, rank, group.best, when)
    return to_text(table)


def list_archived(
    matches: Sequence[Match], timezone: tzinfo | None = None
) -> str:
    """Text of a ranking of an archive, with cameras and times.

    Args:
        matches: Best first.
        timezone: Of the times; that of this computer for None.
    """
    if not matches:
        return 'nobody was found'
    table = _table('camera', 'time', 'frame', justify='left')
    for rank, match in enumerate(matches, 1):
        source = match.source
        when = moment(source.time, timezone), _frame(match)
        _add(table, rank, match, (Text(source.camera or ''), *when))
    return to_text(table)


def describe_archive(store: 'LanceStore') -> str:
    """What an archive holds, for people."""
    records = store.records().values()
    notes = sum(1 for record in records if record.note)
    files = [path for path in store.path.rglob('*') if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    lines = [
        f'{len(store)} people of {sum(r.pictures for r in records)} pictures '
        f'in {len(records)} files, {size / 1e6:.1f} MB',
        f'network {store.network} ({store.notes.get("model")}), detections '
        f'with a score of {store.det_thr:g} and more',
    ]
    if undone := sum(1 for record in records if not record.done):
        lines.append(f'{undone} videos are not done yet: add them again')
    if notes:
        lines.append(f'{notes} files cannot be read')
    if not store.exact:
        share = store.recall
        found = 'not measured' if share is None else f'{100 * share:.1f} %'
        lines.append(f'index for approximate search, recall {found}')
    for camera, (num, first, last) in sorted(
        store.cameras().items(), key=lambda item: item[0] or ''
    ):
        lines.append(
            f'camera {camera}: {num} people, {moment(first)} - {moment(last)}'
        )
    for entry in store.deletions()[-NAMED:]:
        lines.append(
            f'{moment(entry["when"])}: deleted {entry["people"]} people'
        )
    return '\n'.join(lines)


def moment(seconds: float | None, timezone: tzinfo | None = None) -> str:
    """'2026-11-30 12:00:05', or nothing for None.

    Args:
        seconds: Since 1970.
        timezone: That of this computer for None.
    """
    if seconds is None or not np.isfinite(seconds):
        return ''
    when = datetime.fromtimestamp(seconds, timezone)
    return when.isoformat(' ', 'seconds')


def span(group: Group) -> str:
    """'0:03.2 - 0:07.9', '0:03.2', or nothing for an image."""
    times = dict.fromkeys([clock(group.begin), clock(group.end)])
    return ' - '.join(times)


def other_files(paths: Sequence[str]) -> str:
    """That files of a folder are neither images nor videos.

    Args:
        paths: At least one.
    """
    what = 'file is' if len(paths) == 1 else 'files are'
    names = ', '.join(paths[:NAMED])
    shown = names.encode('utf-8', 'backslashreplace').decode()
    if shown != names:
        names = f'{shown} (a name in another encoding than UTF-8)'
    more = f', and {len(paths) - NAMED} more' if len(paths) > NAMED else ''
    return f'{len(paths)} {what} neither an image nor a video: {names}{more}'


def left_out(num: int) -> str:
    """That so many files were left out; what follows names them."""
    if num == 1:
        return '1 file cannot be read and was left out'
    return f'{num} files cannot be read and were left out'


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
            camera=match.source.camera,
            time=match.source.time,
        )
        for match in matches
    ]


def groups_as_json(groups: Sequence[Group]) -> list[dict]:
    """Fields of each group, best first; its matches by time."""
    return [
        {
            'from': group.begin,
            'to': group.end,
            'count': len(group.matches),
            'best': as_json([group.best])[0],
            'matches': as_json(group.matches),
        }
        for group in groups
    ]


def list_people(bboxes: np.ndarray, scores: np.ndarray) -> str:
    """Table of the people in a picture, numbered from 1.

    Args:
        bboxes: (N, 4) x1, y1, x2, y2.
        scores: (N,) scores of the detections.
    """
    table = Table()
    for name in ('person', 'score', 'x1', 'y1', 'x2', 'y2'):
        table.add_column(name, justify='right', no_wrap=True)
    for number, (box, score) in enumerate(
        zip(bboxes.tolist(), scores.tolist(), strict=True), 1
    ):
        values = (f'{value:.0f}' for value in box)
        table.add_row(str(number), f'{score:.2f}', *values)
    return to_text(table)


def clock(seconds: float | None) -> str:
    """'1:02.5', '1:00:02.5', or nothing for an image."""
    if seconds is None:
        return ''
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f'{tenths // 10:02d}.{tenths % 10}'
    return f'{hours}:{minutes:02d}:{rest}' if hours else f'{minutes}:{rest}'


def _table(*times: str, justify: str = 'right') -> Table:
    """A table without rows; ``times`` are columns before the last one."""
    table = Table()
    boxes = ('x1', 'y1', 'x2', 'y2')
    for name in ('rank', 'similarity', 'score', *boxes):
        table.add_column(name, justify='right', no_wrap=True)
    for name in times:
        table.add_column(name, justify=justify, no_wrap=True)
    table.add_column('image', no_wrap=True)
    return table


def _add(
    table: Table, rank: int, match: Match, when: Sequence[str | Text]
) -> None:
    table.add_row(
        str(rank),
        f'{match.similarity:.3f}',
        f'{match.score:.2f}',
        *(f'{value:.0f}' for value in match.box),
        *when,
        # a Text: brackets in a name are no markup
        Text(match.source.image or f'pixels {match.position}'),
    )


def _when(match: Match) -> tuple[str, str]:
    return clock(match.source.timestamp), _frame(match)


def _frame(match: Match) -> str:
    frame = match.source.frame
    return '' if frame is None else str(frame)
