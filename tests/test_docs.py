"""The documentation at its word: links, commands, code, and the site."""

import ast
import contextlib
import functools
import importlib
import inspect
import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from unittest import mock
from urllib.parse import unquote, urlsplit

import pytest

from mmps import checkpoints
from mmps.commands import COMMANDS, main
from tests.markdown import PAGES, ROOT, anchors, blocks, inline_code, links

#: Makes bash tell what it would run instead of running it.
RECORDER = """
record() { printf '%s\\x1f' "$@"; printf '\\x1e'; }
command_not_found_handle() { :; }
python() { record python "$@"; }
make() { record make "$@"; }
mmps() { record mmps "$@"; }
"""
#: Launcher -> whose options it hands on.
LAUNCHERS = {
    'tools/dist_train.sh': 'tools/train.py',
    'tools/dist_test.sh': 'tools/test.py',
    'tools/slurm_train.sh': 'tools/train.py',
}
RECORDER += '\n'.join(f'{s}() {{ record {s} "$@"; }}' for s in LAUNCHERS)
OURS = re.compile(
    r'^\s*(\w+=\S+ )*'
    r'(python (tools|benchmarks|demo)/|tools/\S+\.sh |make |mmps )',
    re.MULTILINE,
)
of_every_page = pytest.mark.parametrize(
    'page', PAGES, ids=lambda page: str(page.relative_to(ROOT))
)


def recorded(code):
    """The commands of a shell block: loops and braces are bash's work.

    bash is restricted and has no folder to find programs in, so that it runs
    nothing but the functions above.
    """
    done = subprocess.run(
        [
            shutil.which('bash'),
            '--noprofile',
            '--norc',
            '-r',
            '-c',
            f'{RECORDER}\n{code}',
        ],
        env={'PATH': '/nowhere'},
        capture_output=True,
        text=True,
        timeout=20,
    )
    if 'syntax error' in done.stderr:
        raise ValueError(f'bash cannot read this block:\n{done.stderr}{code}')
    return [
        entry.split('\x1f')[:-1] for entry in done.stdout.split('\x1e')[:-1]
    ]


def commands(text):
    shown = [*blocks(text, '', 'bash', 'sh'), *inline_code(text)]
    ours = (code for code in shown if OURS.search(code))
    return [command for code in ours for command in recorded(code)]


@functools.cache
def usage(script, subcommand=''):
    """The lines of --help that list what a script or command takes."""
    words = [*filter(None, [subcommand]), '--help']
    with contextlib.redirect_stdout(io.StringIO()) as text:
        try:
            run = main if script in COMMANDS else run_script
            code = run([script, *words])
        except SystemExit as end:
            code = end.code
    assert not code
    return text.getvalue().split('\n\n')[0]


def run_script(words):
    """Run a program that ends at once; another Python would take seconds."""
    with (
        mock.patch.object(sys, 'argv', words),
        mock.patch.object(sys, 'path', [*sys.path]),
        mock.patch.dict(os.environ),
    ):
        runpy.run_path(str(ROOT / words[0]), run_name='__main__')


def options_of(script, arguments):
    found = usage(script)
    subcommands = re.search(r'\{([\w,]+)\} \.\.\.', found)
    if subcommands and arguments and arguments[0] in subcommands[1].split(','):
        found = usage(script, arguments[0])
    return set(re.findall(r'(?<![\w-])--?[a-z][\w-]*', found))


def faults(command):
    """What is wrong with a command, in words."""
    program, *arguments = command
    if program == 'make':
        targets = re.findall(
            r'^([\w-]+):', (ROOT / 'Makefile').read_text(), re.M
        )
        named = [a for a in arguments if '=' not in a and a[0] != '-']
        return [f'make has no {a}' for a in named if a not in targets]
    if program == 'mmps':
        if not arguments or re.match('-|[A-Z]+$', arguments[0]):
            return []  # mmps --help, mmps COMMAND ...
        script = arguments.pop(0)
        if script not in COMMANDS:
            return [f'there is no mmps {script}']
    elif program in LAUNCHERS:
        script = LAUNCHERS[program]
    elif arguments and re.match('(tools|benchmarks|demo)/', arguments[0]):
        script = arguments.pop(0)
    else:
        return []  # python -m ..., python -c ...
    if script not in COMMANDS and not (ROOT / script).is_file():
        return [f'there is no {script}']
    known = options_of(script, arguments)
    return [
        f'{script} has no {argument}'
        for argument in arguments
        if re.match(r'\[?--?[a-z]', argument)
        and argument.strip('[]').split('=')[0] not in known
    ] + [
        f'there is no {argument}'
        for argument in arguments
        if argument.startswith('configs/')
        and argument.partition('@')[0].endswith('.py')
        and not (ROOT / argument.partition('@')[0]).is_file()
    ]


@of_every_page
def test_links_lead_somewhere(page):
    broken = []
    for link in links(page.read_text()):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = page
        if parts.path:
            target = page.parent / unquote(parts.path)
        if not target.exists() or (
            parts.fragment
            and parts.fragment not in anchors(target.read_text())
        ):
            broken.append(link)
    assert not broken


@of_every_page
def test_commands_are_those_of_the_tools(page):
    found = commands(page.read_text())
    wrong = [(c, faults(c)) for c in found]
    assert not [(' '.join(c), f) for c, f in wrong if f]


@of_every_page
def test_code_can_be_read(page):
    text = page.read_text()
    for code in blocks(text, 'python'):
        ast.parse(code)
    for code in blocks(text, 'json'):
        json.loads(code)


def test_commands_are_found_where_they_hide():
    text = """
```bash
# python tools/comment.py
for name in a b; do
    A=1 python tools/train.py configs/${name}{,_x}.py \\
        --amp   # and why
done
tools/dist_train.sh configs/c.py 8 --amp && rm -rf / | make docs > file
```

Or `python tools/test.py 'a b'
--out x` and `python -m pytest`, `tools/test.py`.
"""
    train = ['python', 'tools/train.py']
    assert commands(text) == [
        [*train, 'configs/a.py', 'configs/a_x.py', '--amp'],
        [*train, 'configs/b.py', 'configs/b_x.py', '--amp'],
        ['tools/dist_train.sh', 'configs/c.py', '8', '--amp'],
        ['python', 'tools/test.py', 'a b', '--out', 'x'],
    ]


@pytest.mark.parametrize(
    ('command', 'fault'),
    [
        ('python tools/none.py', 'there is no tools/none.py'),
        ('python tools/train.py c.py --ampp', 'tools/train.py has no --ampp'),
        ('python tools/lut.py extract a b --half', None),
        ('python tools/lut.py info a --half', 'tools/lut.py has no --half'),
        ('tools/dist_test.sh c.py d 8 --amp', 'tools/test.py has no --amp'),
        ('python tools/score.py d --det-thr=0.1 [--out x]', None),
        ('python tools/score.py d [--thr 1]', 'tools/score.py has no [--thr'),
        ('python tools/train.py configs/x.py', 'there is no configs/x.py'),
        ('mmps zoo list --all', None),
        ('mmps zoo info x --all', 'zoo has no --all'),
        ('mmps zoos list', 'there is no mmps zoos'),
        ('mmps --help', None),
        ('mmps train configs/x.py', 'there is no configs/x.py'),
        ('make test PYTHON=python', None),
        ('make test-all lint', None),
        ('make tests', 'make has no tests'),
        ('make test-al', 'make has no test-al'),
    ],
)
def test_faults_of_commands_are_named(command, fault):
    assert faults(command.split()) == ([fault] if fault else [])


def test_a_broken_block_is_an_error():
    with pytest.raises(ValueError, match='syntax error'):
        recorded('for x in a; python tools/train.py')


def test_anchors_are_those_of_a_code_host():
    text = '# A `b._c`: d-e?\n\n## Twice\n\n## Twice\n'
    assert anchors(text) == {'a-b_c-d-e', 'twice', 'twice-1'}


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """Output of the build and its folder."""
    out = tmp_path_factory.mktemp('site')
    command = '-m sphinx -W --keep-going -q -c docs .'
    done = subprocess.run(
        [sys.executable, *command.split(), str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    return done, out


@pytest.mark.slow
@pytest.mark.long
def test_the_site_builds_without_a_warning(site):
    done, out = site
    assert done.returncode == 0, done.stdout[-3000:]
    assert (out / 'docs' / 'index.html').is_file()
    assert (out / 'index.html').is_file()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    'part',
    [
        *('datasets', 'models', 'distillation', 'evaluation', 'checkpoints'),
        *('engine', 'ops'),
    ],
)
def test_the_reference_has_every_public_name(part, site):
    module = importlib.import_module(f'mmps.{part}')
    text = (site[1] / 'docs' / 'api' / f'{part}.html').read_text()
    missing = [
        name
        for name in module.__all__
        if not inspect.ismodule(getattr(module, name))
        # what has moved is on the page of its new home
        if not (part == 'engine' and name in checkpoints.__all__)
        if f'id="mmps.{part}.{name}"' not in text
    ]
    assert not missing
