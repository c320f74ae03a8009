"""Person search on MMDetection: OIM, QEEPS and their distillation.

Importing the package loads neither torch nor mmdet. When they are loaded, the
stock packages are repaired (``mmps.compat``), checkpoints are loaded safely
(``mmps.checkpoints.schemes``), and mmdet's registries find the parts of
mmps (``mmps.registered``). A config says
``custom_imports = dict(imports=['mmps'])``.
"""

import sys
from functools import partial

from mmps import openmp  # isort: skip  must come before any import of torch
from mmps import compat
from mmps.lazy import lazy_names
from mmps.when_imported import when_imported

__version__ = '0.1.0'
__getattr__, __dir__, __all__ = lazy_names(__name__)
__all__ += ['__version__', 'compat', 'openmp']


def _load_safely() -> None:
    from mmps.checkpoints import schemes  # noqa: F401 - registers
    from mmps.zoo import scheme  # noqa: F401 - registers


def _announce(module: str) -> None:
    """Have the parts of mmps imported before a registry looks for one."""
    from mmengine.registry import Registry

    place = 'mmps.registered'
    for registry in vars(sys.modules[module]).values():
        if isinstance(registry, Registry) and place not in registry._locations:
            # a list of its own: mmengine's registries share an empty one
            registry._locations = [*registry._locations, place]
            registry._imported = False


when_imported('mmengine', compat.repair_mmengine)
when_imported('mmcv', compat.supply_mmcv_ops)
when_imported('mmengine.runner.checkpoint', _load_safely)
for _module in ('mmengine.registry', 'mmdet.registry'):
    when_imported(_module, partial(_announce, _module))
