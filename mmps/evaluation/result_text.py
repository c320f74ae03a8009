"""Show a result to people (a table) and to programs (a JSON file)."""

import io
import json
import math
import os

from rich.console import Console
from rich.table import Table

from mmps.atomic_files import write_text
from mmps.structures import split_result_key

from .search import TOP_K

#: Columns that no table needs. (Tables are not stretched to it.)
WIDTH = 100_000


def rows(result: dict[str, float]) -> dict[str, dict[str, float]]:
    """Split '<row>/<figure>' -> number into row -> figure -> number."""
    table: dict[str, dict[str, float]] = {}
    for key, value in result.items():
        row, figure = split_result_key(key)
        table.setdefault(row, {})[figure] = value
    return table


def percent(ratio: float, sign: str = '') -> str:
    """In percent with two decimals, a dash for NaN.

    Args:
        ratio: In [-1, 1].
        sign: '+' also shows that of a positive number.
    """
    return '-' if math.isnan(ratio) else f'{100 * ratio:{sign}.2f}'


def describe_result(result: dict[str, float]) -> str:
    """Text of the result: one line for detection, a table for searches."""
    table = rows(result)
    lines = []
    found = table.pop('det', None)
    if found is not None:
        line = (
            f'detection: AP {percent(found["AP"])}, recall '
            f'{percent(found["recall"])} ({found["found"]} of '
            f'{found["gt"]} people, {found["boxes"]} boxes)'
        )
        if found.get('gt-labelled'):  # older results do not have it
            line += (
                f'; of labelled people {percent(found["recall-labelled"])} '
                f'({found["found-labelled"]} of {found["gt-labelled"]})'
            )
        lines.append(line)
    if table:
        lines.append(to_text(_search_table(table)))
    return '\n'.join(lines)


def _search_table(table: dict[str, dict[str, float]]) -> Table:
    shown = Table(title='person search, in percent')
    shown.add_column('protocol', no_wrap=True)
    ratios = ('mAP', *(f'top-{k}' for k in TOP_K))
    for name in (*ratios, 'queries', 'skipped', 'found', 'gt'):
        shown.add_column(name, justify='right', no_wrap=True)
    notes = []
    for name, figures in table.items():
        shown.add_row(
            name,
            *(percent(figures[key]) for key in ratios),
            *(
                str(figures[key])
                for key in ('queries', 'skipped', 'found', 'gt')
            ),
        )
        if figures.get('fallbacks'):
            notes.append(f'{name}: {figures["fallbacks"]} annotated boxes')
    shown.caption = '; '.join(notes) or None
    return shown


def to_text(table: Table) -> str:
    """Lines of a table without colours, as wide as what is in it.

    Nothing is folded or cut, however narrow the terminal: a file's name in a
    cell can be searched for and copied.
    """
    out = io.StringIO()
    console = Console(
        file=out, width=WIDTH, color_system=None, force_terminal=False
    )
    console.print(table)
    return '\n'.join(line.rstrip() for line in out.getvalue().splitlines())


def write_json(result: dict, path: str | os.PathLike) -> None:
    """Write numbers unrounded, NaN as null; the file appears whole."""
    plain = {
        key: None if isinstance(v, float) and math.isnan(v) else v
        for key, v in result.items()
    }
    write_text(path, json.dumps(plain, indent=1) + '\n')
