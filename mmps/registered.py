"""Registers all parts of mmps in mmdet's registries when it is imported.

The registries import it by themselves before they look for a part
(``locations`` of ``mmengine.registry.Registry``, appended by ``mmps``).
"""

from mmps import datasets, distillation, engine, evaluation, models

for _package in (datasets, distillation, engine, evaluation, models):
    for _name in _package.__all__:
        getattr(_package, _name)
