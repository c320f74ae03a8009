import pytest
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed


@pytest.fixture(autouse=True)
def _scope_of_mmdet():
    """Configs set mmdet's scope; a test before may have left another."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture(autouse=True)
def _seed():
    """Every test draws the same numbers, alone and in any order."""
    set_random_seed(0)
