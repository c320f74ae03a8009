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
PROMISES = ('', 'Promise', 'Figure to reach', 'Reached')
SEEN = ('Campaign', 'What was seen', 'Time', 'Run')


def verdict(result: dict) -> str:
    """Say in words what became of a promise."""
    if result['broken']:
        return 'BROKEN'
    return 'kept' if result['done'] == result['cases'] else 'out of time'


def table(folder: Path = KEPT) -> str:
    """Markdown of all promises, and of what was seen.

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
    promises = [
        (str(number), row.promise, row.reach, _reached(number, row, results))
        for number, row in ROWS.items()
    ]
    seen = [
        (
            f'`{name}`',
            result['seen'],
            f'{result["seconds"] / 60:.0f} min',
            f'{result["date"]}, {result["commit"]}',
        )
        for name, result in results.items()
    ]
    return f'{_markdown(PROMISES, promises)}\n\n{_markdown(SEEN, seen)}'


def _markdown(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    rule = ('---',) * len(head)
    return '\n'.join(
        f'| {" | ".join(line)} |' for line in (head, rule, *lines)
    )


def shown() -> str:
    """The table that the page has."""
    return PAGE.read_text().split(BEGIN)[1].split(END)[0]


def write_page() -> None:
    """Put the table of the kept results into the page."""
    text = PAGE.read_text()
    PAGE.write_text(text.replace(shown(), table()))


def _reached(number: int, row: Row, results: dict[str, dict]) -> str:
    parts = []
    for name in row.campaigns:
        text = 'not run'
        if name in results:
            result = results[name]
            text = f'{result["done"]:,} of {result["cases"]:,}'
            if verdict(result) != 'kept':
                text += f', **{verdict(result)}**'
        parts.append(f'`{name}`: {text}')
    if row.tests:
        figures = results.get(BY_TESTS, {'figures': {}})['figures']
        text = figures.get(str(number), 'not run, or **failed**')
        parts.append(f'`{BY_TESTS}`: {text}')
    return '; '.join(parts)


def unknown() -> set[str]:
    """Campaigns that a row names and that do not exist, and the reverse."""
    named = {name for row in ROWS.values() for name in row.campaigns}
    return named ^ (set(CAMPAIGNS) - {BY_TESTS})
