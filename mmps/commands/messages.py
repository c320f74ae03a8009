"""What is printed of an error: for people, in place of a traceback."""

import difflib
import errno
import inspect
import re
from collections.abc import Iterator
from traceback import walk_tb
from types import FrameType

from mmps.errors import InputError

_MORE = '(--traceback shows where this was noticed)'
#: What a constructor says of an argument that it does not know.
_UNEXPECTED = re.compile(
    r"\.__init__\(\) got an unexpected keyword argument '(\w+)'"
)
#: How a data loader hands on what one of its workers raised.
_WORKER = re.compile(r'Caught \w+ in DataLoader worker process \d+\.\n')
#: How the last line of a traceback begins.
_LAST = re.compile(r'^[\w.]*[A-Z]\w*(?:Error|Exception): ', re.MULTILINE)


def describe(error: Exception) -> str:
    """Text of an error for people: what is wrong, and how to see more.

    Args:
        error: An ``InputError``, or what mmps itself raises, says all there
            is to say; others do not name what was given, so the way to the
            traceback is added.
    """
    if isinstance(error, InputError) or _is_of_mmps(error):
        return _text(error)
    if isinstance(error, OSError) and error.filename is not None:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = '. Free some space, or write to another disk' if full else ''
        return f'{error.filename}: {error.strerror}{hint}'
    if isinstance(error, TypeError) and (text := _unknown_key(error)):
        return text
    return f'{_text(error)}\n{_MORE}'


def _text(error: Exception) -> str:
    text = str(error)
    if isinstance(error, KeyError) and error.args:
        text = str(error.args[0])
        # registries raise KeyErrors that are sentences
        return text if ' ' in text else f'key {text!r} is missing'
    if _WORKER.match(text) and (lines := list(_LAST.finditer(text))):
        return text[lines[-1].end() :].strip()
    return text or type(error).__name__


def _frames(error: Exception) -> Iterator[FrameType]:
    """Where an error went through, innermost first."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return reversed(frames)


def _is_of_mmps(error: Exception) -> bool:
    """Whether mmps raised it, and so has named what was given."""
    innermost = next(_frames(error), None)
    return (
        isinstance(error, ValueError | FileNotFoundError)
        and innermost is not None
        and innermost.f_globals.get('__name__', '').startswith('mmps.')
    )


def _unknown_key(error: TypeError) -> str | None:
    """What a class of a config takes, where it was given something else."""
    if not (found := _UNEXPECTED.search(str(error))):
        return None
    key = found[1]
    for frame in _frames(error):
        kind = frame.f_locals.get('obj_cls')
        if frame.f_code.co_name == 'build_from_cfg' and inspect.isclass(kind):
            break
    else:
        return None
    known = sorted(
        {
            parameter.name
            for base in kind.__mro__
            if base is not object and '__init__' in vars(base)
            for parameter in inspect.signature(base).parameters.values()
            if parameter.kind is not parameter.VAR_POSITIONAL
            if parameter.kind is not parameter.VAR_KEYWORD
        }
    )
    close = difflib.get_close_matches(key, known, 1)
    hint = f'. Did you mean {close[0]!r}?' if close else ''
    return (
        f'{kind.__name__} takes no {key!r}{hint}\nIt takes {", ".join(known)}'
    )
