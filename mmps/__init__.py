"""Person search on MMDetection: OIM, QEEPS and their distillation.

Importing the package repairs the stock packages (``mmps.compat``) and
registers its parts in mmdet's registries; a config does this by
``custom_imports = dict(imports=['mmps'])``.
"""

from . import openmp  # isort: skip  must come before any import of torch
from . import compat  # isort: skip  must come before any import of mmdet
from . import datasets, distillation, engine, evaluation, models, zoo

__version__ = '0.1.0'
__all__ = [
    '__version__',
    'compat',
    'datasets',
    'distillation',
    'engine',
    'evaluation',
    'models',
    'openmp',
    'zoo',
]
