import pytest
from mmengine.registry import DefaultScope

from mmps.datasets import person_search_dataset


@pytest.fixture(autouse=True)
def mmdet_scope():
    """Find transforms by their names, as a Runner with our configs does."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture
def logged(monkeypatch):
    """Collect what data sets log."""
    lines = []
    monkeypatch.setattr(
        person_search_dataset,
        'print_log',
        lambda text, **options: lines.append(text),
    )
    return lines
