"""Pickles that make a file where a careless reader reads them.

They are spelt by hand, opcode by opcode: what may stand in a pickle is more
than what ``pickle.dumps`` writes.
"""

import io
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable
from time import time

#: Module, name, and arguments for the path of a file that a call makes.
_CALLS: tuple[tuple[str, str, Callable[[str], tuple]], ...] = (
    ('os', 'system', lambda path: (f'touch {path}',)),
    ('posix', 'system', lambda path: (f'touch {path}',)),
    ('os', 'mkdir', lambda path: (path,)),
    ('subprocess', 'call', lambda path: (['touch', path],)),
    ('subprocess', 'check_output', lambda path: (['touch', path],)),
    ('builtins', 'exec', lambda path: (_text(path),)),
    ('builtins', 'eval', lambda path: (_text(path),)),
    ('builtins', 'open', lambda path: (path, 'w')),
    ('io', 'open', lambda path: (path, 'w')),
    ('io', 'FileIO', lambda path: (path, 'w')),
    ('logging', 'FileHandler', lambda path: (path,)),
    ('timeit', 'repeat', lambda path: (_text(path), 'pass', time, 1, 1)),
    ('cProfile', 'run', lambda path: ('1', path)),
    ('numpy', 'save', lambda path: (path, [1])),
    ('numpy', 'savetxt', lambda path: (path, [1])),
    ('torch', 'save', lambda path: ([1], path)),
    ('torch.storage', '_load_from_bytes', lambda path: (_inner(path),)),
    ('pickle', 'loads', lambda path: (_inner(path),)),
    ('_pickle', 'loads', lambda path: (_inner(path),)),
    (
        'mmengine.config',
        'Config.fromstring',
        lambda path: (_text(path), '.py'),
    ),
    ('mmengine.fileio', 'put_text', lambda path: ('x', path)),
)
#: Ways from a payload to the top of a checkpoint: keys from outside.
PLACES = (
    *((), ('state_dict',), ('state_dict', 'weight'), ('model', 'weight')),
    *(('optimizer', 'state', 'momentum_buffer'), ('table',)),
    *(('message_hub', 'runtime_info', 'eta'), ('meta',), ('meta', 'cfg')),
    *(('message_hub', 'log_scalars', 'loss'), ('param_schedulers',)),
)


def calls() -> int:
    """How many functions there are to call."""
    return len(_CALLS)


def payload(number: int, path: str, rng: random.Random) -> bytes:
    """Opcodes that call a function, and leave something on the stack.

    Args:
        number: Of the function.
        path: What it makes.
        rng: Decides how it is spelt.
    """
    module, name, arguments = _CALLS[number]
    values = [_literal(value) for value in arguments(path)]
    function = _named(module, name, rng)
    way = rng.randrange(5)
    if way == 0:  # a method of a module
        owner = _call(
            _named('importlib', 'import_module', rng), [_literal(module)]
        )
        function = owner
        for part in name.split('.'):
            function = _attribute(_literal(part), function, rng)
    elif way == 1:
        partial = _named('functools', 'partial', rng)
        return _call(_call(partial, [function, *values]), [])
    elif way == 2 and '.' not in name:  # INST, which names and calls
        return b'(' + b''.join(values) + f'i{module}\n{name}\n'.encode()
    elif way == 3 and '.' not in name:  # OBJ
        return b'(' + function + b''.join(values) + b'o'
    return _call(function, values)


def within(place: tuple[str, ...], opcodes: bytes) -> bytes:
    """A pickle with a payload inside of dicts."""
    for key in reversed(place):
        opcodes = b'}' + _literal(key) + opcodes + b's'
    return b'\x80\x04' + opcodes + b'.'


def as_zip(content: bytes) -> bytes:
    """As torch writes it since 1.6."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('archive/data.pkl', content)
        archive.writestr('archive/byteorder', 'little')
        archive.writestr('archive/version', '3\n')
    return buffer.getvalue()


def as_legacy(content: bytes) -> bytes:
    """As torch wrote it before: some pickles, one behind another."""
    head = (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True})
    parts = [pickle.dumps(part, 2) for part in head]
    return b''.join([*parts, content, pickle.dumps([], 2)])


def as_tar(content: bytes) -> bytes:
    """As the first torch wrote it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as archive:
        for name in ('sys_info', 'storages', 'tensors', 'pickle'):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _text(path: str) -> str:
    return f"open({path!r}, 'w').close()"


def _inner(path: str) -> bytes:
    rng = random.Random(0)
    body = _call(_named('builtins', 'exec', rng), [_literal(_text(path))])
    return b'\x80\x02' + body + b'.'


def _literal(value: object) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def _named(module: str, name: str, rng: random.Random) -> bytes:
    if '.' in name or rng.random() < 0.5:  # STACK_GLOBAL
        return _literal(module) + _literal(name) + b'\x93'
    return f'c{module}\n{name}\n'.encode()


def _attribute(name: bytes, owner: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return _call(_named('builtins', 'getattr', rng), [owner, name])
    getter = _call(_named('operator', 'attrgetter', rng), [name])
    return _call(getter, [owner])


def _call(function: bytes, values: list[bytes]) -> bytes:
    return function + b'(' + b''.join(values) + b'tR'
