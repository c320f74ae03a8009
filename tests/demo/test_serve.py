import os

import pytest

from mmps.demo.serve import private_folder, quiet_environment


def test_the_folder_is_private_and_goes_at_the_end():
    seen = []

    def interrupted():
        with private_folder() as folder:
            assert folder.stat().st_mode & 0o077 == 0
            assert os.environ['GRADIO_TEMP_DIR'] == str(folder / 'gradio')
            (folder / 'gradio/face.jpg').write_text('somebody')
            seen.append(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (folder,) = seen
    assert not folder.exists()
    assert 'GRADIO_TEMP_DIR' not in os.environ


def test_nobody_is_called(monkeypatch):
    for name in ('no_proxy', 'NO_PROXY', 'GRADIO_ANALYTICS_ENABLED'):
        monkeypatch.setenv(name, 'x')
    for name in ('HF_HUB_OFFLINE', 'HF_HUB_DISABLE_TELEMETRY', 'DO_NOT_TRACK'):
        monkeypatch.setenv(name, '0')
    quiet_environment()
    assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
    assert os.environ['HF_HUB_OFFLINE'] == '1'
    assert os.environ['no_proxy'] == 'x,127.0.0.1,localhost'
