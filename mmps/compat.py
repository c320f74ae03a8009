"""Checks and repairs of the stock packages.

``mmps`` has them made as soon as a package is imported.

1. mmengine: an untested torch, mmengine, mmcv or mmdet is refused by name.
   ``pkg_resources``: setuptools 82 dropped it, and mmengine 0.10 needs it to
   resolve ``_base_ = 'mmdet::...'``. Its callers get versions that use
   ``importlib``, only where the module is really missing.
2. mmcv: ``mmcv._ext``, where mmcv came without compiled ops
   (``ops.mmcv_ext``); mmdet cannot be imported without it.

Checkpoint loading is made safe by ``mmps.checkpoints``. mmdet's
``ResNet.train`` returns None, so ``.eval()`` cannot be chained; that is left
as it is.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys

#: package -> (names on PyPI, lowest version, first untested version)
TESTED = {
    'torch': (('torch',), '2.6', '3'),
    'mmengine': (('mmengine', 'mmengine-lite'), '0.10.7', '0.11'),
    'mmcv': (('mmcv', 'mmcv-lite', 'mmcv-full'), '2.1', '2.2'),
    'mmdet': (('mmdet',), '3.3', '3.4'),
}
#: Where mmengine keeps, or has taken a copy of, its two functions.
_CALLERS = (
    'mmengine.utils.package_utils',
    'mmengine.utils',
    'mmengine.config.config',
    'mmengine.hub.hub',
)


def repair_mmengine() -> None:
    """Check the versions, mend the uses of ``pkg_resources``."""
    check_versions()
    repair_pkg_resources()


def supply_mmcv_ops() -> None:
    """Make ``mmcv.ops``, and with them mmdet, importable."""
    from mmps.ops import mmcv_ext, nms

    mmcv_ext.supply(nms)


def check_versions() -> None:
    """Refuse packages that are missing or outside the tested range."""
    for name, (projects, low, high) in TESTED.items():
        project = 'mmcv-lite' if name == 'mmcv' else name
        way_out = f"pip install '{project}>={low},<{high}'"
        found = _version(name, projects)
        if found is None:
            raise ImportError(f'mmps needs {name}: {way_out}')
        if not _numbers(low) <= _numbers(found) < _numbers(high):
            raise ImportError(
                f'{name} {found} is installed, mmps is tested with '
                f'>={low},<{high}: {way_out}'
            )


def repair_pkg_resources() -> None:
    """Replace mmengine's uses of ``pkg_resources`` if it does not exist."""
    if importlib.util.find_spec('pkg_resources') is not None:
        return
    import mmengine.config
    import mmengine.utils.package_utils  # noqa: F401

    for caller in _CALLERS:
        module = sys.modules.get(caller)
        if module is not None:  # else it will copy the repaired ones
            module.is_installed = is_installed
            module.get_installed_path = get_installed_path


def is_installed(package: str) -> bool:
    """Whether a distribution or a regular module of that name exists."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return _origin(package) is not None
    return True


def get_installed_path(package: str) -> str:
    """Return the folder of a module, or of a distribution's first module."""
    origin = _origin(package)
    if origin is None:
        origin = _origin(_first_module(package))
    if origin is None:
        raise ModuleNotFoundError(
            f'{package} is not installed, or is a namespace package without '
            f'a folder of its own: pip install {package}'
        )
    return os.path.dirname(origin)


def _version(name: str, projects: tuple[str, ...]) -> str | None:
    for project in projects:
        try:
            return importlib.metadata.version(project)
        except importlib.metadata.PackageNotFoundError:
            continue
    if _origin(name) is None:  # a checkout on PYTHONPATH has no metadata
        return None
    return importlib.import_module(name).__version__


def _numbers(version: str) -> tuple[int, ...]:
    """'2.1.0+cpu' -> (2, 1); trailing zeros say nothing."""
    digits = re.match(r'\d+(\.\d+)*', version)
    numbers = [int(n) for n in digits[0].split('.')] if digits else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _origin(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None


def _first_module(package: str) -> str:
    try:
        listed = importlib.metadata.distribution(package).read_text(
            'top_level.txt'
        )
    except importlib.metadata.PackageNotFoundError:
        listed = None
    public = [name for name in (listed or '').split() if name[0] != '_']
    return public[0] if public else package
