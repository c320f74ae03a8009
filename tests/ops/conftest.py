import pytest

from mmps.ops import choice


@pytest.fixture(autouse=True)
def _fresh_choice(monkeypatch):
    """Nothing is chosen yet, and nothing will be known afterwards."""
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    monkeypatch.setattr(choice, '_found', {})
