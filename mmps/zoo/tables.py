"""Tables of the zoo in Markdown, between marks that stay in the page:

    <!-- zoo: oim_r50 oim_r18 -->
    (the table)
    <!-- /zoo -->

The mark names entries in the order of the rows; ``*`` and ``?`` stand for any
letters, and an entry is never repeated in a table.
"""

import fnmatch
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmps.atomic_files import write_text

from .errors import ZooError
from .index import Entry, Index

_TABLE = re.compile(
    r'(<!-- zoo: (?P<names>[^>]+?) -->\n)'
    r'(?:(?!<!-- zoo:).)*?(<!-- /zoo -->)',
    re.DOTALL,
)
_MARK = re.compile(r'^<!-- /?zoo\b', re.MULTILINE)
_HEAD = (
    'config',
    'lambda_oim',
    'KD',
    'teacher',
    'paper: search',
    'paper: detection',
    'ours: search',
    'ours: detection',
    'weights',
)
#: Of several protocols this one is shown.
SHOWN = ('G100', 'mini', 'regular')


def pages(root: Path) -> Iterator[Path]:
    """Pages that may hold tables."""
    yield root / 'README.md'
    yield from sorted((root / 'docs').glob('*.md'))
    yield from sorted((root / 'configs').glob('*/README.md'))


def update_pages(index: Index, write: bool = True) -> list[str]:
    """Make the tables of all pages anew.

    Args:
        index: Entries that the tables are made of.
        write: False only looks.

    Returns:
        Pages, below the root of the index, whose tables were out of date.
    """
    changed = []
    for page in pages(index.root):
        text = fill(page, index)
        if text != page.read_text():
            changed.append(str(page.relative_to(index.root)))
            if write:
                write_text(page, text)
    return changed


def fill(page: Path, index: Index) -> str:
    """Text of a page with its tables made anew.

    Args:
        page: A Markdown file.
        index: Entries that the tables are made of.

    Raises:
        ZooError: A mark names nothing, or has no other mark.
    """

    def table(match: re.Match) -> str:
        entries = _named(match['names'].split(), index, page)
        lines = _render(entries, index, page)
        return f'{match[1]}\n{lines}\n\n{match[3]}'

    text, tables = _TABLE.subn(table, page.read_text())
    marks = len(_MARK.findall(text))
    if marks != 2 * tables:
        raise ZooError(
            page,
            f'has {marks} marks of the zoo for {tables} tables',
            'A table is between <!-- zoo: NAME --> and <!-- /zoo -->, each '
            'on a line of its own',
        )
    return text


def _named(patterns: list[str], index: Index, page: Path) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for pattern in patterns:
        names = fnmatch.filter(index.entries, pattern)
        if not names:
            raise ZooError(page, f'no entry of the zoo is {pattern}')
        entries.update({name: index.entries[name] for name in names})
    return list(entries.values())


def _render(entries: list[Entry], index: Index, page: Path) -> str:
    rows = [_row(entry, index, page) for entry in entries]
    # a column without a value in any row is left out
    wanted = [
        i
        for i, name in enumerate(_HEAD)
        if name in ('config', 'ours: search')
        or any(row[i] != '-' for row in rows)
    ]
    lines = [[_HEAD[i] for i in wanted], ['---'] * len(wanted)]
    lines += [[row[i] for i in wanted] for row in rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _row(entry: Entry, index: Index, page: Path) -> list[str]:
    def link(text: str, path: str) -> str:
        return f'[{text}]({os.path.relpath(index.root / path, page.parent)})'

    teacher = entry.metadata.get('Teacher', '-')
    trained = bool(entry.results)
    files = []
    if entry.weights is not None:
        size = f'{entry.weights.size / 1e6:.1f} MB'
        files.append(f'{link("weights", entry.weights.path)}, {size}')
        if entry.log:
            files.append(link('log', entry.log))
    if entry.table is not None:
        files.append(link('table', entry.table.path))
    return [
        link(f'`{entry.name}`', entry.config),
        str(entry.metadata.get('lambda_oim', '-')),
        str(entry.metadata.get('KD', '-')),
        str(teacher),
        _search(entry.paper),
        _detection(entry.paper),
        _search(entry.results) if trained else 'not run',
        _detection(entry.results) if trained else '-',
        ', '.join(files) or '-',
    ]


def _search(results: Mapping[str, Mapping[str, float]]) -> str:
    """'mAP / top-1', with the protocol if it is not the usual one."""
    found = {
        data.partition(', ')[2]: metrics
        for data, metrics in results.items()
        if 'mAP' in metrics
    }
    if not found:
        return '-'
    usual = [protocol for protocol in SHOWN if protocol in found]
    protocol = usual[0] if usual else next(iter(found))
    metrics = found[protocol]
    shown = f'{metrics["mAP"]} / {metrics["top-1"]}'
    return shown if usual else f'{shown} ({protocol})'


def _detection(results: Mapping[str, Mapping[str, float]]) -> str:
    """'AP / recall'."""
    for metrics in results.values():
        if 'AP' in metrics:
            return f'{metrics["AP"]} / {metrics["recall"]}'
    return '-'
