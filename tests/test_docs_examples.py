"""The files that the documentation tells people to write, run."""

import os
import runpy
import sys

import pytest
import torch
from mmdet.registry import HOOKS, MODELS
from mmengine.config import Config

from mmps.distillation import FrozenLUTHook, read_table
from tests.markdown import ROOT, files
from tests.models.build import batch, build, scene
from tests.preloaded import SERVER

DOCS = ROOT / 'docs'
UP = torch.tensor([0.0, 1.0])
PLACES = [[8, 16, 28, 72], [72, 20, 92, 76]]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder in which a path like configs/oim/oim_r18.py is ours."""
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_test_of_the_added_method_passes(repository):
    *_, test = files(DOCS / 'adding_a_method.md', repository)
    assert test.name == 'test_triplet_head.py'
    output = repository / 'output.txt'
    process = SERVER.Process(target=run_pytest, args=(test, output))
    process.start()
    process.join(240)
    assert process.exitcode == 0, output.read_text()[-3000:]
    assert '9 passed' in output.read_text()


def run_pytest(test, output):
    """Run a file of tests, in a process of its own."""
    with open(output, 'w') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.path.insert(0, str(test.parents[2]))
    os.chdir(test.parents[2])
    code = pytest.main(['-q', '-p', 'no:cacheprovider', str(test)])
    sys.stdout.flush()
    os._exit(code)


def test_the_added_method_is_trained_with_the_network(repository):
    _, config, _ = files(DOCS / 'adding_a_method.md', repository)
    model = build(Config.fromfile(config).model).train()
    scenes = [scene(PLACES, [0, 1], seed=1), scene(PLACES, [1, 0], seed=2)]
    losses = model.loss(*batch(model, *scenes, training=True))
    assert losses['loss_oim'] > 0
    assert losses['loss_triplet'] > 0
    losses['loss_triplet'].backward()
    assert model.roi_head.oim_head.fc.weight.grad.any()


def test_the_table_of_a_foreign_teacher_is_that_of_its_embeddings(repository):
    make_table, _ = files(DOCS / 'distillation.md', repository)
    runpy.run_path(str(make_table))
    table = read_table(repository / 'my_lut.pth')
    assert table.names == ('p1', 'p2')
    half = torch.tensor(torch.pi / 8)  # between 0 and 45 degrees
    expected = torch.stack([torch.stack([half.cos(), half.sin()]), UP])
    torch.testing.assert_close(table.normalised(), expected)


def test_the_student_of_both_teachers_is_what_the_page_says(repository):
    _, config = files(DOCS / 'distillation.md', repository)
    cfg = Config.fromfile(config)
    assert isinstance(HOOKS.build(cfg.custom_hooks[0]), FrozenLUTHook)
    for part in (cfg.model.backbone, cfg.model.roi_head.shared_head):
        part.init_cfg = None  # nothing is downloaded here
    model = MODELS.build(cfg.model)
    assert model.distiller is not None
    assert model.roi_head.oim_head.loss_oim.loss_weight == 0.1
