"""A network without what only its training needs."""

import copy
from typing import TypeVar

ModelConfig = TypeVar('ModelConfig', bound=dict)


def plain_model(model: ModelConfig) -> ModelConfig:
    """A copy of a model's config as it is tested: without a distiller.

    Args:
        model: ``model`` of a config, with or without ``distiller``.
    """
    plain = copy.deepcopy(model)
    plain.pop('distiller', None)
    return plain
