"""Sphinx configuration of the documentation: `make docs`.

The source folder is the root of the repository (`sphinx-build -c docs . OUT`),
so that a relative link from one Markdown file to another is the same link on a
code host and on the site, also where it leaves docs/.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import mmps  # noqa: E402

project = 'mmps'
author = 'the mmps authors'
copyright = f'2026, {author}'
version = release = mmps.__version__

highlight_language = 'none'  # of blocks that name none
root_doc = 'docs/index'
include_patterns = [
    'docs/**',
    'configs/*/README.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
]
# also keeps Sphinx from walking through pictures and virtual environments
exclude_patterns = [
    '.*',
    'build',
    'data',
    'dist',
    'mmps',
    'tests',
    'work_dirs',
    '**/__pycache__',
    '**/conf.py',
]

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
]
myst_heading_anchors = 4  # '#counts' as a code host makes them

autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # else attributes with docstrings are there twice

html_theme = 'furo'
html_title = f'mmps {version}'
html_show_sphinx = False
html_copy_source = False
# The pages lie in docs/ of the site: its root leads there.
templates_path = ['_templates']
html_additional_pages = {'index': 'to_docs.html'}


def adapt(app, what, name, obj, options, lines: list[str]) -> None:
    """Make reStructuredText of a docstring of ours, in place.

    Indented blocks (symbols, formulas, examples) are shown as they stand,
    where their lines would be run together, and a description that begins
    with a letter and a full stop ("feat_dim: D.") is no numbered list.
    """
    for i in reversed(range(len(lines))):
        lines[i] = re.sub(r'^(\s+\w+: [A-Z])\.', r'\1\\.', lines[i])
        if lines[i] == 'Symbols used in this file:':
            lines.insert(i + 1, '')
        block = lines[i + 1 : i + 3]
        if len(block) < 2 or block[0] or not lines[i]:
            continue
        if indent(block[1]) >= indent(lines[i]) + 4:
            lines[i + 1 : i + 1] = ['', ' ' * indent(lines[i]) + '::']


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def shorten(app, what, name, obj, options, signature, returned):
    """Module names that Sphinx leaves in the signatures of dataclasses."""
    if '<factory>' in (signature or ''):
        return re.sub(r'~[\w.]*\.', '', signature), returned


def setup(app) -> None:
    # before napoleon, which takes the sections apart
    app.connect('autodoc-process-docstring', adapt, priority=400)
    app.connect('autodoc-process-signature', shorten)
