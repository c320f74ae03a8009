"""What our Markdown files link to, and the code that they show."""

import re
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ('README.md', 'CHANGELOG.md')),
    ROOT / 'CONTRIBUTING.md',
    *sorted((ROOT / 'docs').rglob('*.md')),
    *sorted((ROOT / 'configs').rglob('README.md')),
]
_PARSER = MarkdownIt('commonmark').enable('table')


def tokens(text):
    """All tokens, those inside of lines as well."""
    for token in _PARSER.parse(text):
        yield token
        yield from token.children or ()


def links(text):
    """Targets of links and pictures, in Markdown and in HTML."""
    for token in tokens(text):
        for name in ('href', 'src'):
            if token.attrs.get(name):
                yield token.attrs[name]
        if token.type in ('html_block', 'html_inline'):
            yield from re.findall(r'(?:href|src)="([^"]*)"', token.content)


def anchors(text):
    """Names that a code host gives to the headings."""
    found, parsed = [], _PARSER.parse(text)
    for before, token in pairwise(parsed):
        if before.type == 'heading_open':
            words = ''.join(child.content for child in token.children)
            slug = re.sub(r'[^\w\- ]', '', words.lower()).replace(' ', '-')
            again = found.count(slug)
            found.append(slug)
            if again:
                found.append(f'{slug}-{again}')
    return set(found)


def blocks(text, *languages):
    """Contents of the fenced blocks in these languages."""
    return [
        token.content
        for token in _PARSER.parse(text)
        if token.type == 'fence' and token.info.strip() in languages
    ]


def inline_code(text):
    """Code within sentences, on one line each."""
    return [t.content for t in tokens(text) if t.type == 'code_inline']


def files(page, folder):
    """Write the Python blocks of a page that begin with a file name.

    Args:
        page: Path of the Markdown file.
        folder: Where they go.

    Returns:
        Their paths, in the order of the page.
    """
    written = []
    for code in blocks(page.read_text(), 'python'):
        name = re.match(r'# ([\w/]+\.py)\n', code)
        if name:
            path = folder / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
            written.append(path)
    return written
