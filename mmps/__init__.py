"""Person search on MMDetection: OIM, QEEPS and their distillation.

Importing the package loads neither torch nor mmdet. When they are loaded, the
stock packages are repaired (``mmps.compat``), checkpoints are loaded safely
(``mmps.engine.checkpoint_schemes``), and mmdet's registries find the parts of
mmps (``mmps.registered``). A config says
``custom_imports = dict(imports=['mmps'])``.
"""

import sys

from . import openmp  # isort: skip  must come before any import of torch
from . import compat
from .lazy import lazy_names
from .when_imported import when_imported

__version__ = '0.1.0'
__getattr__, __all__ = lazy_names(__name__)
__all__ += ['__version__', 'compat', 'openmp']


def _load_safely() -> None:
    from .engine import checkpoint_schemes  # noqa: F401 - registers
    from .zoo import scheme  # noqa: F401 - registers


def _announce() -> None:
    """Have the parts of mmps imported before a registry looks for one."""
    from mmengine.registry import Registry

    for name in ('mmengine.registry', 'mmdet.registry'):
        for registry in vars(sys.modules[name]).values():
            if isinstance(registry, Registry):
                registry._locations.append('mmps.registered')
                registry._imported = False


when_imported('mmengine', compat.repair_mmengine)
when_imported('mmcv', compat.supply_mmcv_ops)
when_imported('mmengine.runner.checkpoint', _load_safely)
when_imported('mmdet.registry', _announce)
