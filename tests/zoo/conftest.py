from types import SimpleNamespace

import pytest

from mmps.checkpoints import ranged_get

from .small import private_cache


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Folder of the cache; downloads do not wait between tries."""
    clock = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr(ranged_get, 'time', clock)
    return private_cache(monkeypatch, tmp_path)
