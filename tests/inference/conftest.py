"""Small scenes, and networks with drawn weights that find people in them."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from mmps.apis import PersonSearchInferencer, load_config
from tests.distillation.networks import network
from tests.evaluation.pair_runs import configured, runner_of
from tests.inference.tiny import TINY
from tests.synthetic.sets import copy_cuhk_sysu

ROOT = Path(__file__).parents[2]
CONFIG = (
    TINY
    + """
test_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}')
)
test_evaluator = dict(det_thr=0.05)
"""
)


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """Root of a data set in the layout of CUHK-SYSU."""
    out = tmp_path_factory.mktemp('inference') / 'scenes'
    copy_cuhk_sysu(out)
    return out


@pytest.fixture(scope='session')
def files(data):
    """Eight of its images; the last one has another size."""
    folder = data / 'Image/SSM'
    paths = sorted(folder.glob('*.jpg'))[:7]
    pixels = cv2.imread(str(paths[0]))
    other = data.parent / 'other.png'
    cv2.imwrite(str(other), pixels[:200, :300])
    return [str(path) for path in (*paths, other)]


@pytest.fixture(scope='session')
def oim(data):
    """Config and weights of a plain network."""
    config = data.parent / 'oim.py'
    config.write_text(CONFIG.format(root=ROOT, data=data))
    weights = data.parent / 'oim.pth'
    model = network(load_config(str(config)).model, seed=0)
    torch.save({'state_dict': model.state_dict()}, weights)
    return SimpleNamespace(config=str(config), weights=str(weights))


@pytest.fixture(scope='session')
def qeeps(data):
    """Config, weights and runner of a query-guided network."""
    config = configured(data.parent, data, gated=True)
    runner = runner_of(config, data.parent / 'work')
    weights = data.parent / 'qeeps.pth'
    torch.save({'state_dict': runner.model.state_dict()}, weights)
    return SimpleNamespace(config=config, weights=str(weights), runner=runner)


@pytest.fixture(scope='session')
def plain(oim):
    """Searches with the plain network."""
    return PersonSearchInferencer(oim.config, oim.weights, 'cpu')


@pytest.fixture(scope='session')
def guided(qeeps):
    """Searches with the query-guided network."""
    return PersonSearchInferencer(qeeps.config, qeeps.weights, 'cpu')


@pytest.fixture(scope='session')
def video(files, tmp_path_factory):
    """Six frames of one size, ten a second; not compressed."""
    path = str(tmp_path_factory.mktemp('video') / 'clip.avi')
    code = cv2.VideoWriter_fourcc(*'FFV1')
    writer = cv2.VideoWriter(path, code, 10, (320, 240))
    assert writer.isOpened()
    for file in files[:6]:
        writer.write(cv2.resize(cv2.imread(file), (320, 240)))
    writer.release()
    return path


@pytest.fixture
def grey():
    return np.full((120, 160, 3), 127, np.uint8)
