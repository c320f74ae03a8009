import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmps.demo.actions import DRAWN
from mmps.demo.serve import private_folder, quiet_environment, written

from .pages import served


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


def test_pictures_are_files_of_their_own():
    blue = np.full((30, 40, 3), (0, 0, 255), np.uint8)
    with private_folder() as folder:
        paths = {written(blue) for _ in range(3)}
        assert len(paths) == 3
        for path in paths:
            assert folder in Path(path).parents
            b, g, r = cv2.imread(path)[15, 20].tolist()
            assert (b > 250, g < 5, r < 5) == (True,) * 3


def test_nobody_is_called(monkeypatch):
    for name in ('no_proxy', 'NO_PROXY', 'GRADIO_ANALYTICS_ENABLED'):
        monkeypatch.setenv(name, 'x')
    for name in ('HF_HUB_OFFLINE', 'HF_HUB_DISABLE_TELEMETRY', 'DO_NOT_TRACK'):
        monkeypatch.setenv(name, '0')
    quiet_environment()
    assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
    assert os.environ['HF_HUB_OFFLINE'] == '1'
    assert os.environ['no_proxy'] == 'x,127.0.0.1,localhost'


# Gradio runs in threads of this process, and its warnings are not ours
@pytest.mark.filterwarnings('ignore')
def test_old_files_are_deleted(actions, examples, tmp_path):
    with served(actions) as page:
        from gradio.route_utils import delete_files_created_by_app
        from gradio_client import Client, handle_file

        folder = Path(os.environ['GRADIO_TEMP_DIR'])

        def files():
            found = {path for path in folder.rglob('*') if path.is_file()}
            return {path for path in found if path.stat().st_size}

        before = files()  # of the examples
        client = Client(page.local_url, verbose=False, download_files=tmp_path)
        image, box = examples.queries[0]
        client.predict(handle_file(image), True, api_name='/upload')
        client.predict(
            *(*box, DRAWN, '', None, 4, -1, 1, False), api_name='/search'
        )
        names = [path.name for path in files() - before]
        assert Path(image).name in names
        assert len(names) == 1 + 1 + 4 + 4  # uploaded, shown, found
        assert page.delete_cache == (600, 3600)
        delete_files_created_by_app(page, 3600)
        assert len(files() - before) == 10
        delete_files_created_by_app(page, 0)
        assert files() == before
