"""The command ``mmps``: help, names, and what becomes of mistakes."""

import argparse
import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import mmps
from mmps import commands
from mmps.commands import COMMANDS, GROUPS, main
from mmps.errors import InputError

ROOT = Path(__file__).parents[2]
#: Files that are programs of their own.
OTHERS = {'quickstart.py', 'torchrun.py'}


def modules():
    """Command -> its module's file."""
    folder = Path(commands.__file__).parent
    return {name: folder / f'{name.replace("-", "_")}.py' for name in COMMANDS}


def test_the_help_explains_every_command(command):
    code, out, _ = command('--help')
    assert code == 0
    lines = [line.split(maxsplit=1) for line in out.splitlines() if line]
    for title, group in GROUPS.items():
        assert f'\n{title}:\n' in out
        assert all([name, line] in lines for name, line in group.items())
    assert command()[:2] == (0, out)


def test_every_command_has_a_module_and_every_module_is_one():
    parts = {'__init__', 'arguments', 'messages'}
    folder = Path(commands.__file__).parent
    found = {file for file in folder.glob('*.py') if file.stem not in parts}
    assert found == set(modules().values())


def test_every_tool_is_a_command():
    called = {}
    for file in (ROOT / 'tools').glob('*.py'):
        if file.name in OTHERS:
            continue
        (call,) = [
            node
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call)
        ]
        assert call.func.id == 'run_tool'
        called[call.args[0].value] = file.name
    assert called.keys() <= COMMANDS.keys()
    assert {'train', 'test', 'zoo', 'sweep-lambda'} <= called.keys()


def test_help_is_quick():
    """Of all commands: nothing heavy is imported for it."""
    program = (
        'import sys\n'
        'from mmps.commands import COMMANDS, main\n'
        'for name in COMMANDS:\n'
        "    try: main([name, '--help'])\n"
        '    except SystemExit: pass\n'
        "heavy = {'torch', 'numpy', 'mmengine', 'cv2', 'scipy', 'yaml'}\n"
        'assert not heavy & set(sys.modules), heavy & set(sys.modules)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f'usage: mmps {name} ' in done.stdout


def test_examples_of_the_help_are_commands():
    for file in modules().values():
        text = ast.get_docstring(ast.parse(file.read_text()))
        named = [
            line.split()[1]
            for line in text.splitlines()
            if line.startswith('mmps ')
        ]
        assert named, f'{file.name}: no example'
        assert set(named) <= COMMANDS.keys()


def test_the_version(command):
    assert command('--version')[:2] == (0, f'{mmps.__version__}\n')


@pytest.mark.parametrize(
    ('given', 'meant'),
    [
        ('trian', 'train'),
        ('compare_runs', 'compare-runs'),
        ('make_synthetic', 'synthetic'),
        ('show_ranking', 'ranking'),
    ],
)
def test_the_nearest_command_is_suggested(given, meant, command):
    code, out, err = command(given, '--seed', '0')
    assert (code, out) == (2, '')
    assert err == (
        f'mmps: there is no command {given!r}. Did you mean {meant}? '
        '`mmps --help` lists all commands\n'
    )


def test_nothing_is_suggested_for_nonsense(command):
    code, _, err = command('qqq')
    assert code == 2
    assert 'mean' not in err


@pytest.fixture
def failing(monkeypatch):
    """Gives ``mmps train`` a module that raises what it is given."""

    def fail_with(error):
        def run(args):
            raise error

        def add_arguments(parser: argparse.ArgumentParser) -> None:
            what = parser.add_subparsers(dest='what', required=True)
            what.add_parser('now')

        module = ModuleType('failing', 'Fails.')
        module.run, module.add_arguments = run, add_arguments
        monkeypatch.setattr(
            commands.importlib, 'import_module', lambda name: module
        )

    monkeypatch.delenv('MMPS_TRACEBACK', raising=False)
    return fail_with


def test_a_mistake_is_one_message(failing, command):
    failing(InputError('x.npz', 'is empty', 'Write it again'))
    expected = 'mmps train: x.npz: is empty. Write it again\n'
    assert command('train', 'now') == (2, '', expected)


def test_the_traceback_can_be_had(failing, monkeypatch):
    failing(InputError('x.npz', 'is empty'))
    for words in (['--traceback', 'now'], ['now', '--traceback']):
        with pytest.raises(InputError):
            main(['train', *words])
    monkeypatch.setenv('MMPS_TRACEBACK', '1')
    with pytest.raises(InputError):
        main(['train', 'now'])


def test_a_bug_keeps_its_traceback(failing):
    failing(AttributeError('x'))
    with pytest.raises(AttributeError):
        main(['train', 'now'])


def test_ctrl_c_is_no_traceback(failing, command):
    failing(KeyboardInterrupt())
    assert command('train', 'now') == (130, '', 'mmps train: interrupted\n')
