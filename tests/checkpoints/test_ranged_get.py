"""What a download shows; what it does is in test_download.py."""

import hashlib
import io
import re

import pytest

from mmps.checkpoints import fetch

from .server import serve

DATA = bytes(range(256)) * 800  # 204 800 bytes
NAME = f'weights-{hashlib.sha256(DATA).hexdigest()[:8]}.pth'


class Screen(io.StringIO):
    """Where progress goes, with or without someone who looks."""

    def __init__(self, someone):
        super().__init__()
        self.isatty = lambda: someone


def shown(someone, folder, monkeypatch):
    """What a download that is cut in the middle shows."""
    screen = Screen(someone)
    monkeypatch.setattr('sys.stderr', screen)
    with serve({NAME: DATA}, cuts=[102_400]) as server:
        fetch(f'{server.url}/{NAME}', folder=folder, pause=0.01)
    return screen.getvalue()


def test_progress_starts_where_the_download_does(tmp_path, monkeypatch):
    text = shown(True, tmp_path, monkeypatch)
    first, second = text.split('205k', 1)
    assert f'{NAME}:   0%|' in first
    assert re.search(rf'{NAME}: +50%\|.*\| 102k/205k', second)
    assert re.search(rf'{NAME}: +100%\|.*\| 205k/205k', second)


def test_where_no_one_looks_nothing_is_shown(tmp_path, monkeypatch):
    assert shown(False, tmp_path, monkeypatch) == ''


@pytest.mark.parametrize('someone', [True, False])
def test_the_file_is_the_same(someone, tmp_path, monkeypatch):
    shown(someone, tmp_path, monkeypatch)
    assert (tmp_path / NAME).read_bytes() == DATA
