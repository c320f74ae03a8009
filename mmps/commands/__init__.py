"""The command ``mmps``, and what the files in ``tools/`` call.

Each command is a module of this folder. Its docstring is the help text; it has

    add_arguments(parser)    what may be given
    run(args)                does it; may return an exit code

and imports nothing slow before ``run`` is called, so that ``--help`` answers
at once.
"""

import argparse
import difflib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

#: Environment variable that does what ``--traceback`` does.
TRACEBACK = 'MMPS_TRACEBACK'
#: Exit code of a mistake in what was given, as argparse has it.
MISTAKE = 2
#: Heading -> command -> one line of help, in the order of ``mmps --help``.
GROUPS = {
    'search': {
        'search': 'search for a person in pictures and videos of your own',
        'archive': 'keep the people of months of video, and search them',
        'demo': 'search for people on a page in the browser',
    },
    'train and test': {
        'train': 'train a config',
        'test': 'test a checkpoint: search and detection, every protocol',
        'zoo': 'list, download and verify released networks',
        'convert-weights': 'make published weights of others a network of '
        'mmps',
    },
    'look at results': {
        'report': 'write one HTML page on one or several test runs',
        'score': 'score a feature dump again, without the network',
        'ranking': 'draw queries and what was ranked first',
        'compare-runs': 'compare two test runs query by query',
    },
    'data sets': {
        'check': 'check that a data set is complete and can be read',
        'convert': 'make a data set of your own pictures and boxes',
        'init-config': 'write a config for your own data',
        'browse': 'draw what a network is fed',
        'synthetic': 'make a synthetic data set',
    },
    'look at networks': {
        'analyze': 'count parameters and operations, measure the speed',
        'lut': 'read, compute and write lookup tables of identities',
        'guidance': 'measure how much a network looks at its query',
        'proposal-recall': 'measure how early the person is proposed',
    },
    'run experiments': {
        'compare': 'train and test several configs with several seeds',
        'sweep-lambda': 'draw search and detection against lambda_oim',
        'campaign': 'train and test the networks of a plan',
    },
    'publish': {
        'export': 'write a network as ONNX files, which run without torch',
        'publish': 'make the files of a release and its entry in the zoo',
        'results-table': 'update the tables of the zoo in all pages',
    },
}
#: Command -> one line of help.
COMMANDS = {
    command: line
    for group in GROUPS.values()
    for command, line in group.items()
}
#: What a mistake of the user can raise; the rest is a bug and keeps its
#: traceback.
_MISTAKES = (
    *(ImportError, KeyError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mmps COMMAND ...``.

    Args:
        argv: Without the program's name; by default those of this process.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog='mmps',
        usage='mmps COMMAND [argument ...]',
        description='Person search on MMDetection.',
        epilog=overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--version', action='store_true', help='print the version and exit'
    )
    parser.add_argument('command', nargs='?', help=argparse.SUPPRESS)
    args = parser.parse_args(arguments[:1])
    if args.version:
        from mmps import __version__

        print(__version__)
        return 0
    if args.command is None:
        parser.print_help()
        return 0
    if args.command not in COMMANDS:
        close = difflib.get_close_matches(args.command, COMMANDS, 1, 0.5)
        hint = f'Did you mean {close[0]}? ' if close else ''
        print(
            f'mmps: there is no command {args.command!r}. {hint}'
            '`mmps --help` lists all commands',
            file=sys.stderr,
        )
        return MISTAKE
    return run_command(args.command, arguments[1:], f'mmps {args.command}')


def overview() -> str:
    """All commands with a line of help each, by group."""
    lines = []
    for title, group in GROUPS.items():
        lines.append(f'{title}:')
        lines += [f'  {name:<16} {line}' for name, line in group.items()]
        lines.append('')
    lines += [
        '`mmps COMMAND --help` explains a command. A config is a path or the',
        'name of a config of mmps, such as oim_r50.',
    ]
    return '\n'.join(lines)


def run_tool(command: str) -> None:
    """Be a file of ``tools/``: run a command and end the process.

    Args:
        command: One of ``COMMANDS``.
    """
    sys.exit(run_command(command, sys.argv[1:], Path(sys.argv[0]).name))


def run_command(command: str, argv: Sequence[str], prog: str) -> int:
    """Run a command; mistakes of the user end in one message.

    Args:
        command: One of ``COMMANDS``.
        argv: Its arguments.
        prog: What it is called in messages.

    Returns:
        The exit code: 0, what the command returned, 2 after a mistake in what
        was given, 130 after Ctrl-C.
    """
    module = importlib.import_module(f'{__name__}.{command.replace("-", "_")}')
    parser = argparse.ArgumentParser(
        prog=prog,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument(
        '--traceback',
        action='store_true',
        help='after a mistake, show where in the code it was noticed '
        f'(or set {TRACEBACK}=1)',
    )
    # taken out here, since it may also stand behind a subcommand
    words = [word for word in argv if word != '--traceback']
    traceback = len(words) < len(argv) or bool(os.environ.get(TRACEBACK))
    args = parser.parse_args(words)
    try:
        code = module.run(args) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `mmps zoo list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print(f'{prog}: interrupted', file=sys.stderr)
        return 128 + signal.SIGINT
    except _MISTAKES as error:
        if traceback:
            raise
        from .messages import describe

        print(f'{prog}: {describe(error)}', file=sys.stderr)
        return MISTAKE
