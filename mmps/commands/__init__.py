"""The command ``mmps``, and what the files in ``tools/`` call.

Each command is a module of this folder. Its docstring is the help text; it has

    add_arguments(parser)    what may be given
    run(args)                does it; may return an exit code

and imports nothing slow before ``run`` is called, so that ``--help`` answers
at once.
"""

import argparse
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
#: Command -> one line of help, in the order of ``mmps --help``.
COMMANDS = {
    'train': 'train a config',
    'check': 'check that a data set is complete and can be read',
    'convert': 'make a data set of your own pictures and boxes',
    'init-config': 'write a config for your own data',
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
        description='Person search on MMDetection.',
        epilog='mmps COMMAND --help explains a command.\n\n'
        + '\n'.join(f'  {name:<16} {line}' for name, line in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='store_true')
    parser.add_argument(
        'command', nargs='?', metavar='COMMAND', choices=COMMANDS
    )
    args = parser.parse_args(arguments[:1])
    if args.version:
        from mmps import __version__

        print(__version__)
        return 0
    if args.command is None:
        parser.print_help()
        return 0
    return run_command(args.command, arguments[1:], f'mmps {args.command}')


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
        default=bool(os.environ.get(TRACEBACK)),
        help='after a mistake, show where in the code it was noticed '
        f'(or set {TRACEBACK}=1)',
    )
    args = parser.parse_args(argv)
    try:
        return module.run(args) or 0
    except BrokenPipeError:  # `mmps zoo list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print(f'{prog}: interrupted', file=sys.stderr)
        return 128 + signal.SIGINT
    except _MISTAKES as error:
        if args.traceback:
            raise
        print(f'{prog}: {describe(error)}', file=sys.stderr)
        return MISTAKE


def describe(error: Exception) -> str:
    """Text of an error for people: what, and how to see more.

    Args:
        error: An ``InputError`` says all there is to say; others do not name
            what was given, so the way to the traceback is added.
    """
    from mmps.errors import InputError

    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f'{error.filename}: {error.strerror}'
    text = str(error) or type(error).__name__
    if isinstance(error, KeyError):
        text = f'key {text} is missing'
    return f'{text}\n(--traceback shows where this was noticed)'
