import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def _scope_of_mmdet():
    """Configs set mmdet's scope; a test before may have left another."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
