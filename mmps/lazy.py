"""Names of a package whose modules are imported when a name is asked for."""

import importlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple


class LazyNames(NamedTuple):
    """What a package takes from ``lazy_names``, in this order."""

    getattr: Callable[[str], Any]
    dir: Callable[[], list[str]]
    all: list[str]


def lazy_names(package: str, **modules: str) -> LazyNames:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

        __getattr__, __dir__, __all__ = lazy_names(__name__, dump='read_dump')

    Args:
        package: ``__name__`` of the package.
        modules: Module of the package: its public names, with blanks between.
            One with a dot is a module of another package
            (``**{'mmps.checkpoints': 'CheckpointError'}``).

    Returns:
        ``__getattr__`` imports the module of a name, or the submodule of that
        name (``mmps.zoo`` of ``import mmps``), and keeps what it found.

    Raises:
        ValueError: A name is that of its module too, which takes its place
            when it is imported.
    """
    home = {
        name: module
        for module, names in modules.items()
        for name in names.split()
    }
    if unclear := home.keys() & set(modules):
        raise ValueError(f'{package}: both a module and a name: {unclear}')

    def find(name: str) -> Any:
        if name in home:
            module = home[name]
            full = module if '.' in module else f'{package}.{module}'
            found = getattr(importlib.import_module(full), name)
        else:
            found = _submodule(package, name)
        setattr(sys.modules[package], name, found)
        return found

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return LazyNames(find, listed, sorted(home))


def _submodule(package: str, name: str) -> Any:
    path = f'{package}.{name}'
    if not name.startswith('_'):
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:
                raise
    raise AttributeError(f'module {package!r} has no attribute {name!r}')
