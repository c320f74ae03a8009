"""Find a config, and notice misspelt keys that override it."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmps.errors import InputError
from mmps.zoo.errors import ZooError
from mmps.zoo.index import find_root

_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
_CUTOFF = 0.8  # of similarity: num_epoch is num_epochs, with_cp is no style


def find_config(given: str | Path) -> Path:
    """Path of a config.

    A file is taken as it is. Else the configs of mmps are looked through,
    those of the clone or of the installed package: by path
    (configs/oim/oim_r50.py, oim/oim_r50.py) or name (oim_r50, oim_r50.py).

    Args:
        given: Path or name.

    Raises:
        InputError: There is none, and names the most similar ones; or a file
            is of another kind.
    """
    path = Path(given).expanduser()
    choices = [path, path.with_name(f'{path.name}.py')] if path.name else []
    for choice in choices:
        if choice.is_file():
            if choice.suffix not in _SUFFIXES:
                raise InputError(
                    given, f'is no config: it ends in none of {_SUFFIXES}'
                )
            return choice
    known = dict(_known())
    for choice in choices:
        for name, file in known.items():
            if name.endswith(f'/{choice.as_posix()}'):
                return file
    raise InputError(given, 'no such config', _suggestion(path, known))


def config_name(given: str | Path) -> str:
    """Name of a config that was given by path or by name."""
    path = Path(given)  # a dot in a name is no suffix: oim_r18_w0.1
    return path.stem if path.suffix in _SUFFIXES else path.name


def _known() -> Iterator[tuple[str, Path]]:
    """'/configs/<folder>/<name>.py' -> path, of the configs of mmps."""
    try:
        root = find_root()
    except ZooError:  # installed without its zoo
        return
    for file in sorted(root.glob('configs/[!_]*/*.py')):
        yield f'/{file.relative_to(root).as_posix()}', file


def _suggestion(path: Path, known: Mapping[str, Path]) -> str:
    """The most similar files of the same folder and names of mmps."""
    names = {Path(name).stem: name[1:] for name in known}
    if path.parent.is_dir():
        names |= {
            file.stem: str(file)
            for file in path.parent.glob('*.py')
            if file.stem not in names
        }
    stem = path.name.removesuffix('.py')
    close = difflib.get_close_matches(stem, names, 3)
    if close:
        return f'Did you mean {" or ".join(names[name] for name in close)}?'
    return 'Give a path, or a name that `mmps zoo list --all` shows'


def check_overrides(cfg: Mapping, options: Mapping[str, object]) -> None:
    """Refuse a new key that looks like a misspelt old one.

    mmengine adds what is not in a config without a word. A key that resembles
    none of its neighbours is let through: if it belongs nowhere, what is
    built from the config refuses it.

    Args:
        cfg: The config before it is overridden.
        options: Dotted keys -> values.

    Raises:
        InputError: Names the key that was meant.
    """
    for option in options:
        parent = cfg
        parts = option.split('.')
        for depth, key in enumerate(parts):
            if isinstance(parent, Sequence) and not isinstance(parent, str):
                if not key.isdecimal() or int(key) >= len(parent):
                    break  # mmengine says so
                parent = parent[int(key)]
                continue
            if not isinstance(parent, Mapping):
                break
            if key not in parent:
                _refuse_if_close(parts, depth, parent)
                break
            parent = parent[key]


def _refuse_if_close(
    parts: Sequence[str], depth: int, parent: Mapping
) -> None:
    close = difflib.get_close_matches(
        parts[depth], map(str, parent), 1, _CUTOFF
    )
    if close:
        meant = '.'.join([*parts[:depth], close[0], *parts[depth + 1 :]])
        raise InputError(
            f'--cfg-options {".".join(parts)}',
            'the config has no such key',
            f'Did you mean {meant}? A new key can be set in a config file',
        )
