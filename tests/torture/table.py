"""docs/reliability.md: the table of promises, made of what runs gave."""

import json
from pathlib import Path

from .campaigns import CAMPAIGNS
from .rows import ROWS, Row

ROOT = Path(__file__).parents[2]
#: Where results of whole campaigns are kept with the code.
KEPT = ROOT / 'benchmarks' / 'reliability'
#: Of the campaign that runs the tests of all rows.
BY_TESTS = 'by_tests'
PAGE = ROOT / 'docs' / 'reliability.md'
BEGIN = '<!-- table: made by python -m tests.torture --page -->\n'
END = '\n<!-- end of table -->'
HEAD = ('', 'Promise', 'Figure to reach', 'Reached', 'Command', 'Run')


def verdict(result: dict) -> str:
    """Say in words what became of a promise."""
    if result['broken']:
        return 'BROKEN'
    return 'kept' if result['done'] == result['cases'] else 'out of time'


def table(folder: Path = KEPT) -> str:
    """Markdown of all promises.

    Args:
        folder: With the results of whole campaigns.

    Raises:
        ValueError: A result is of a part of a campaign.
    """
    results = {}
    for path in sorted(folder.glob('*.json')):
        result = json.loads(path.read_text())
        if not result['whole']:
            raise ValueError(f'{path}: a part of a campaign is no result')
        results[path.stem] = result
    lines = [HEAD, ('---:', *['---'] * (len(HEAD) - 1))]
    lines += [
        (str(number), *_cells(number, row, results))
        for number, row in ROWS.items()
    ]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def shown() -> str:
    """The table that the page has."""
    return PAGE.read_text().split(BEGIN)[1].split(END)[0]


def write_page() -> None:
    """Put the table of the kept results into the page."""
    text = PAGE.read_text()
    PAGE.write_text(text.replace(shown(), table()))


def _cells(number: int, row: Row, results: dict[str, dict]) -> tuple:
    reached, commands, runs = [], [], []
    several = len(row.campaigns) + bool(row.tests) > 1
    for name in row.campaigns:
        commands.append(f'`{name}`')
        if name not in results:
            reached.append(f'`{name}`: not run')
            continue
        result = results[name]
        runs.append(_run(result))
        text = f'{result["done"]:,} of {result["cases"]:,}'
        if result['broken']:
            text = f'**{len(result["broken"]):,} broke** of {text}'
        elif result['done'] < result['cases']:
            text = f'**out of time**: {text}'
        which = f'`{name}`: ' if several else ''
        reached.append(f'{which}{text}: {result["seen"]}')
    if row.tests:
        commands.append(f'`{BY_TESTS}`')
        result = results.get(BY_TESTS, {'figures': {}})
        seen = result['figures'].get(str(number))
        reached.append(seen or f'`{BY_TESTS}`: not run, or **failed**')
        runs += [_run(result)] if seen else []
    return (
        row.promise,
        row.reach,
        '; '.join(reached) or 'not run',
        ', '.join(commands),
        '; '.join(dict.fromkeys(runs)),
    )


def _run(result: dict) -> str:
    return f'{result["date"]}, {result["commit"]}'


def unknown() -> set[str]:
    """Campaigns that a row names and that do not exist, and the reverse."""
    named = {name for row in ROWS.values() for name in row.campaigns}
    return named ^ (set(CAMPAIGNS) - {BY_TESTS})
