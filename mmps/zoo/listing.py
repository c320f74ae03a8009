"""The zoo as text, for the command line."""

import textwrap

from .index import Entry, Index, ReleasedFile

_WIDTH = 79


def overview(index: Index, released: bool = False) -> str:
    """One line per entry.

    Args:
        index: All entries of the zoo.
        released: Leave out those without weights.
    """
    lines = []
    for entry in index.entries.values():
        if released and entry.weights is None:
            continue
        size = 'not released'
        if entry.weights is not None:
            size = f'{entry.weights.size / 1e6:.1f} MB'
        if entry.table is not None:
            size += ', table'
        lines.append(f'{entry.name:28} {_headline(entry):32} {size}')
    return '\n'.join(lines)


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


def _headline(entry: Entry) -> str:
    """The first figures of an entry."""
    for data, metrics in entry.results.items():
        if metrics:
            figures = ' / '.join(str(v) for v in list(metrics.values())[:2])
            return f'{data}: {figures}'
    return 'not run'


def _file(what: str, file: ReleasedFile | None, entry: Entry) -> list[str]:
    if file is None:
        return [f'{what:9} not released'] if what == 'weights' else []
    return [
        f'{what:9} {file.path}, {file.size:,} bytes',
        f'          sha256 {file.sha256}',
        f'          zoo://{entry.name}',
    ]
