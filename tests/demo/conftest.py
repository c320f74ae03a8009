"""A few drawn scenes, and a tiny network that sees people everywhere."""

import gc
import os
import shutil
import warnings
from dataclasses import replace
from logging import FileHandler
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import torch
from mmengine.logging import MMLogger

from mmps.apis import load_config
from mmps.demo.actions import Actions
from mmps.demo.examples import SIZE, draw_examples
from mmps.demo.searcher import Searcher
from mmps.inference import Origins, PersonSearchInferencer
from mmps.inference.archive import ArchiveWriter
from mmps.synthetic.plan import Part
from tests.distillation.networks import network
from tests.inference.tiny import TINY

ROOT = Path(__file__).parents[2]
CONFIG = TINY + 'test_evaluator = dict(det_thr=0.05)\n'
FEW = replace(
    SIZE,
    picture=(320, 240),
    test=Part(10, 3, 12, 8, 1, 3, 5),
    galleries=(2,),
    occlusion=1,
)


@pytest.fixture(scope='session')
def tiny(tmp_path_factory):
    """Config and weights."""
    folder = tmp_path_factory.mktemp('tiny')
    config, weights = folder / 'tiny.py', folder / 'tiny.pth'
    config.write_text(CONFIG.format(root=ROOT))
    model = network(load_config(str(config)).model, seed=0)
    torch.save({'state_dict': model.state_dict()}, weights)
    return SimpleNamespace(config=str(config), weights=str(weights))


@pytest.fixture(scope='session')
def inferencer(tiny):
    return PersonSearchInferencer(tiny.config, tiny.weights, 'cpu')


@pytest.fixture(scope='session')
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')
    return draw_examples(folder, num_queries=2, size=FEW)


@pytest.fixture
def searcher(inferencer):
    return Searcher(inferencer)


@pytest.fixture
def actions(searcher, examples):
    return Actions(searcher, examples)


@pytest.fixture(scope='package', autouse=True)
def _no_litter():
    """Servers leave event loops open, and close the log files of others."""
    yield
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            if isinstance(handler, FileHandler) and handler.stream is None:
                logger.removeHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', ResourceWarning)
        gc.collect()


@pytest.fixture
def clip(examples, tmp_path):
    """Five frames, ten a second; not compressed."""
    path = str(tmp_path / 'clip.avi')
    code = cv2.VideoWriter_fourcc(*'FFV1')
    writer = cv2.VideoWriter(path, code, 10, (320, 240))
    for image in examples.gallery[:5]:
        writer.write(cv2.imread(image))
    writer.release()
    return path


@pytest.fixture(scope='session')
def archive(inferencer, examples, tmp_path_factory):
    """Scenes of two cameras in an archive; the second ones are later."""
    pytest.importorskip('lancedb', reason="needs LanceDB: 'mmps[store]'")
    folder = tmp_path_factory.mktemp('recordings')
    for number, image in enumerate(examples.gallery[:4]):
        camera = folder / ('gate', 'hall')[number // 2]
        camera.mkdir(exist_ok=True)
        copy = shutil.copy(image, camera / f'{number}.jpg')
        os.utime(copy, (1.7e9 + 3600 * number,) * 2)
    store = folder / 'store'
    ArchiveWriter(store, [folder], Origins()).add(inferencer)
    return SimpleNamespace(folder=store, begin=1.7e9)
