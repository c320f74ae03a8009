"""The zoo as text, for the command line."""

import textwrap

from .index import Entry, Index, ReleasedFile
from .tables import SHOWN

_WIDTH = 79
_HEAD = (
    *('name', 'data', 'AP', 'recall'),
    *('protocol', 'mAP', 'top-1', 'MB', 'table'),
)
_NUMBERS = ('AP', 'recall', 'mAP', 'top-1', 'MB')


def overview(index: Index, released: bool = False) -> str:
    """A table: a line of headings, then one line per entry.

    Figures are in percent; those of the search are of one protocol, G100 or
    the first one.

    Args:
        index: All entries of the zoo.
        released: Leave out those without weights and table.
    """
    lines = [_HEAD]
    for entry in index.entries.values():
        if not released or entry.weights or entry.table:
            lines.append(_line(entry))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return '\n'.join(
        '  '.join(
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(_HEAD, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def details(entry: Entry, index: Index) -> str:
    """All that is known of an entry.

    Args:
        entry: The network that is described.
        index: Says where the config lies.
    """
    lines = [
        f'name      {entry.name}',
        f'method    {entry.collection}',
        f'config    {index.root / entry.config}',
        *_file('weights', entry.weights, entry),
        *_file('table', entry.table, entry),
    ]
    if entry.log:
        lines.append(f'log       {index.root / entry.log}')
    lines.append(f'train     {entry.train_command}')
    if entry.weights is not None:
        lines.append(f'test      {entry.test_command}')
    for title, results in (('paper', entry.paper), ('ours', entry.results)):
        for data, metrics in results.items():
            figures = ', '.join(f'{k} {v}' for k, v in metrics.items())
            lines.append(f'{title:9} {data}: {figures}')
    for key, value in entry.metadata.items():
        lines += textwrap.wrap(
            f'{key}: {value}', _WIDTH, subsequent_indent='    '
        )
    return '\n'.join(lines)


def _line(entry: Entry) -> tuple[str, ...]:
    """Cells of an entry, as many as ``_HEAD`` has."""
    data = str(entry.metadata.get('Training Data', '-'))
    boxes = entry.results.get(data, {})
    searches = {
        name.removeprefix(f'{data}, '): metrics
        for name, metrics in entry.results.items()
        if 'mAP' in metrics
    }
    shown = [name for name in SHOWN if name in searches] or list(searches)
    search = searches[shown[0]] if shown else {}
    figures = (
        *(boxes.get('AP', '-'), boxes.get('recall', '-')),
        shown[0] if shown else '-',
        *(search.get('mAP', '-'), search.get('top-1', '-')),
    )
    size = f'{entry.weights.size / 1e6:.1f}' if entry.weights else '-'
    table = 'yes' if entry.table else '-'
    return (entry.name, data, *map(str, figures), size, table)


def _file(what: str, file: ReleasedFile | None, entry: Entry) -> list[str]:
    if file is None:
        return [f'{what:9} not released'] if what == 'weights' else []
    return [
        f'{what:9} {file.path}, {file.size:,} bytes',
        f'          sha256 {file.sha256}',
        f'          zoo://{entry.name}',
    ]
