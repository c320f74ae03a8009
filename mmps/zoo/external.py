"""Networks that other authors have released, as a list.

``configs/external.yml`` has it; none of their files is part of mmps. A file
whose address is known is downloaded (``fetching.fetch_external``), one on a
drive is for people to fetch.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ZooError
from .index import find_root, is_figure, read_metafile

_FILE = 'configs/external.yml'
_WIDTH = 79
_HEAD = ('name', 'network', 'data', 'mAP', 'top-1', 'ours', 'file')
_NEEDED = (
    *('Name', 'Title', 'Network', 'Dataset', 'Config'),
    *('Repository', 'Licence', 'Where'),
)
_OPTIONAL = ('URL', 'SHA256', 'Figures', 'Figures Source')


@dataclass(frozen=True)
class External:
    """A network of other authors.

    Attributes:
        name: Of the entry.
        title: What its paper calls it.
        network: Value of ``mmps convert-weights --from``.
        dataset: Value of ``--dataset``.
        config: Name of our config.
        repository: Address, with the commit at which it was read.
        licence: Of the authors' code.
        where: In words, where the file is.
        url: Of the file, '' if only people can fetch it.
        sha256: 64 hex digits, '' if unknown.
        figures: Metric -> percent, of the authors.
        source: Where the figures are from.
    """

    name: str
    title: str
    network: str
    dataset: str
    config: str
    repository: str
    licence: str
    where: str
    url: str
    sha256: str
    figures: Mapping[str, float]
    source: str

    @property
    def convert_command(self) -> str:
        """What turns the file into a network of mmps."""
        return (
            f'mmps convert-weights FILE --from {self.network} '
            f'--dataset {self.dataset} --out {self.name}.safetensors'
        )


def load_external(root: Path | None = None) -> dict[str, External]:
    """Read the list, by name; a zoo without a list has none.

    Args:
        root: Folder of ``model-index.yml``, ``find_root()`` if None.

    Raises:
        ZooError: A key is missing or unknown, or a name there twice.
    """
    path = (root or find_root()) / _FILE
    found: dict[str, External] = {}
    if not path.is_file():
        return found
    records = read_metafile(path).get('Networks', [])
    if not isinstance(records, list):
        raise ZooError(path, f'Networks is {records!r:.80}, not a list')
    for record in records:
        if not isinstance(record, dict):
            raise ZooError(path, f'Networks: {record!r:.80} is not a mapping')
        name = record.get('Name', '?')
        figures = record.get('Figures', {})
        if not isinstance(figures, dict) or not all(
            isinstance(key, str) and is_figure(figure)
            for key, figure in figures.items()
        ):
            raise ZooError(
                path, f'entry {name}: Figures maps names to numbers'
            )
        for key in {*_NEEDED, *_OPTIONAL} - {'Figures'}:
            if not isinstance(record.get(key, ''), str):
                raise ZooError(
                    path, f'entry {name}: {key} is {record[key]!r}, not text'
                )
        lacking = [key for key in _NEEDED if not record.get(key)]
        unknown = sorted(map(str, record.keys() - {*_NEEDED, *_OPTIONAL}))
        if lacking or unknown or name in found:
            problem = (
                f'has no {", ".join(lacking)}'
                if lacking
                else f'has {", ".join(unknown)}, which mean nothing'
                if unknown
                else 'is listed twice'
            )
            raise ZooError(path, f'entry {name} {problem}')
        found[name] = External(
            *(record[key] for key in _NEEDED),
            url=record.get('URL', ''),
            sha256=record.get('SHA256', ''),
            figures=figures,
            source=record.get('Figures Source', ''),
        )
    return found


def external_overview(networks: Mapping[str, External]) -> str:
    """A table: a line of headings, then one line per network."""
    lines = [_HEAD]
    for entry in networks.values():
        figures = [entry.figures.get(key, '-') for key in ('mAP', 'top-1')]
        lines.append(
            (
                *(entry.name, entry.title, entry.dataset),
                *map(str, figures),
                'not run',
                'download' if entry.url else 'by hand',
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        '  '.join(map(str.ljust, line, widths)).rstrip() for line in lines
    ]
    note = (
        'Figures are those of the authors, in percent. Nobody has run these '
        'files in mmps. `mmps zoo info NAME` says how to get and convert one.'
    )
    return '\n'.join([*table, '', *textwrap.wrap(note, _WIDTH)])


def external_details(entry: External) -> str:
    """All that is known of a network, and what to run."""
    figures = ', '.join(f'{k} {v}' for k, v in entry.figures.items())
    source = f' ({entry.source})' if entry.source else ''
    get = f'mmps zoo download {entry.name}' if entry.url else 'by hand'
    lines = [
        f'name      {entry.name}',
        f'method    {entry.title}',
        f'data      {entry.dataset}',
        f'authors   {figures or "no figures are known here"}{source}',
        'ours      not run',
        f'code      {entry.repository}, under {entry.licence}',
        *textwrap.wrap(
            f'file      {entry.where}',
            _WIDTH,
            subsequent_indent=' ' * 10,
            break_long_words=False,
            break_on_hyphens=False,
        ),
        f'sha256    {entry.sha256 or "unknown"}',
        f'get       {get}',
        f'convert   {entry.convert_command}',
        f'test      mmps test {entry.config} {entry.name}.safetensors',
    ]
    return '\n'.join(lines)
