import errno
import json
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

from mmps.engine import vis_backend

ROOT = Path(__file__).parents[2]


def test_a_full_disk_ends_no_training(tmp_path, monkeypatch):
    warned = []
    monkeypatch.setattr(
        vis_backend, 'print_log', lambda text, *_: warned.append(text)
    )
    runtime = Config.fromfile(ROOT / 'configs/_base_/default_runtime.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        visualizer = Visualizer(
            vis_backends=runtime.vis_backends, save_dir=str(tmp_path)
        )
    visualizer.add_scalars(dict(loss=1.5), step=1)

    def full(value, file, **_):
        file.write('{"loss": 2')
        file.flush()
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr('mmengine.visualization.vis_backend.dump', full)
        visualizer.add_scalars(dict(loss=2.5), step=2)
        visualizer.add_scalars(dict(loss=3.5), step=3)
    visualizer.add_scalars(dict(loss=4.5), step=4)
    (file,) = tmp_path.rglob('scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line['loss'] for line in lines] == [1.5, 4.5]
    assert len(warned) == 1
    assert str(file) in warned[0]
    assert 'No space left on device' in warned[0]
