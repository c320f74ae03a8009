"""Actions that wait for the import of a module."""

import importlib.util
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def when_imported(module: str, action: Callable[[], None]) -> None:
    """Call ``action`` as soon as ``module`` has been imported.

    At once if it has been already. Several actions of one module are called
    in the order in which they were given.

    Args:
        module: Full name, as in ``sys.modules``.
        action: What it raises is raised by the import.
    """
    if module in sys.modules and module not in _FINDER.importing:
        action()
        return
    _FINDER.actions.setdefault(module, []).append(action)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


class _Finder(MetaPathFinder):
    """Finds what the others find, and looks at the end of its import."""

    def __init__(self) -> None:
        self.actions: dict[str, list[Callable[[], None]]] = {}
        self.importing: set[str] = set()

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        if fullname not in self.actions or fullname in self.importing:
            return None
        self.importing.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.importing.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(Loader):
    """The loader of a module that somebody waits for."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self.loader = loader
        self.finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # as if nobody had looked: resources and sources are asked of it
        module.__spec__.loader = module.__loader__ = self.loader
        name = module.__name__
        self.finder.importing.add(name)
        try:
            self.loader.exec_module(module)
        finally:
            self.finder.importing.discard(name)
        for action in self.finder.actions[name]:
            action()
        del self.finder.actions[name]


_FINDER = _Finder()
