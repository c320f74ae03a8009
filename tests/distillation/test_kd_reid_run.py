"""KD_reid from the teacher's training to the student's scores."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.runner import load_checkpoint

from mmps.apis import load_config, run_test, run_training
from mmps.distillation import read_table
from mmps.synthetic import generate
from tests.engine import toy

ROOT = Path(__file__).parents[2]
TABLE = 'roi_head.oim_head.loss_oim.table'
EPOCHS = 2
NUMBER = itertools.count()  # mmengine wants a new name for each run
CONFIG = """
_base_ = '{root}/configs/oim/oim_r18_tiny.py'
# as small as a network can be, on a few scenes
model = dict(
    backbone=dict(base_channels=8),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(output_size=4),
        shared_head=dict(base_channels=8),
        bbox_head=dict(in_channels=64),
        oim_head=dict(in_channels=64, feat_dim=16),
    ),
    test_cfg=dict(rpn=dict(max_per_img=30)),
)
here = dict(num_workers=0, persistent_workers=False)
scenes = dict(data_root='{data}')
train_dataloader = dict(dataset=dict(indices=24, **scenes), **here)
test_dataloader = dict(dataset=scenes, **here)
# after a few steps no score is high; what is ranked should be something
test_evaluator = dict(det_thr=0.05, gt_boxes=True)
train_cfg = dict(max_epochs={epochs})
val_cfg = val_dataloader = val_evaluator = None
"""
STUDENT = """
_base_ = './oim.py'
custom_hooks = [dict(type='FrozenLUTHook', teacher='{table}')]
model = dict(roi_head=dict(oim_head=dict(loss_oim=dict(loss_weight=0.1))))
"""


def load(config, work_dir, **options):
    options = dict(experiment_name=f'kd_reid{next(NUMBER)}') | options
    return load_config(
        str(config), work_dir=str(work_dir), cfg_options=options
    )


def run_tool(*arguments):
    """Return code and output of ``mmps lut``, run as a user runs it."""
    done = subprocess.run(
        [sys.executable, '-m', 'mmps', 'lut', *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout


def weights(work, epoch):
    path = work / f'epoch_{epoch}.pth'
    return torch.load(path, weights_only=True)['state_dict']


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
    """A folder with oim.py and kd.py, which expects a table in lut.pth."""
    folder = tmp_path_factory.mktemp('configs')
    data = folder / 'data'
    generate('cuhk-sysu', 'tiny', 0, str(data), 1)
    text = CONFIG.format(root=ROOT, data=data, epochs=EPOCHS)
    (folder / 'oim.py').write_text(text)
    text = STUDENT.format(table=folder / 'lut.pth')
    (folder / 'kd.py').write_text(text)
    return folder


@pytest.fixture(scope='module')
def teacher(configs):
    """A checkpoint that has seen some of the identities."""
    work = configs / 'teacher'
    cfg = load(configs / 'oim.py', work)
    cfg.train_cfg.max_epochs = 1
    run_training(cfg)
    return work / 'epoch_1.pth'


@pytest.fixture(scope='module')
def computed(configs, teacher):
    """What the tool printed while it made lut.pth."""
    code, text = run_tool(
        *('compute', configs / 'oim.py', teacher, configs / 'lut.pth'),
        *('--cfg-options', 'train_dataloader.dataset.indices=None'),
        f'work_dir={configs / "compute"}',
    )
    assert code == 0, text[-3000:]
    return text


@pytest.fixture(scope='module')
def student(configs, computed):
    """The work dir of an unbroken run."""
    work = configs / 'unbroken'
    run_training(load(configs / 'kd.py', work))
    return work


@pytest.mark.slow
@pytest.mark.long
def test_a_table_with_unseen_identities_is_not_extracted(teacher, tmp_path):
    rows = torch.load(teacher, weights_only=True)['state_dict'][TABLE]
    unseen = int((rows == 0).all(dim=1).sum())
    assert 0 < unseen < 80
    code, text = run_tool('extract', teacher, tmp_path / 'lut.pth')
    assert code != 0
    message = f'{unseen} of 80 rows of its table are zero: identities p'
    assert message in text.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.long
def test_a_table_is_computed_of_all_identities(configs, teacher, computed):
    table = read_table(configs / 'lut.pth')
    assert table.rows.shape == (80, 16)
    norms = table.rows.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(80))
    assert f'mean embeddings of {teacher.name}' in computed
    assert 'identities  80' in computed
    assert 'cosines' in computed
    assert 'lut.pth: ' in computed.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.long
def test_a_row_is_the_mean_of_the_people_of_its_name(
    configs, teacher, computed
):
    table = read_table(configs / 'lut.pth')
    cfg = load(configs / 'oim.py', configs)
    model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, str(teacher), strict=True)
    options = dict(split='train', indices=None, test_mode=True)
    dataset = DATASETS.build({**cfg.test_dataloader.dataset, **options})
    names = [image.identities for image in dataset.read().images]
    for row in (0, 33, 79):
        name = table.names[row]
        embeddings = []
        for i in [i for i, people in enumerate(names) if name in people]:
            item = dataset[i]
            batch = {key: [value] for key, value in item.items()}
            (sample,) = model.test_step(batch)
            place = list(names[i]).index(name)
            embeddings.append(sample.gt_instances.embeddings[place])
        assert len(embeddings) > 1
        mean = torch.stack(embeddings).mean(dim=0)
        torch.testing.assert_close(
            table.rows[row], mean / mean.norm(), rtol=0, atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.long
def test_the_student_keeps_the_table_and_learns(configs, student):
    expected = read_table(configs / 'lut.pth').normalised()
    first, last = (weights(student, epoch) for epoch in (1, 2))
    assert torch.equal(first[TABLE], expected)
    assert torch.equal(last[TABLE], expected)
    queue = TABLE.replace('table', 'queue')
    assert last[queue].any(dim=1).sum() > first[queue].any(dim=1).sum() > 0
    key = 'roi_head.oim_head.fc.weight'
    assert not torch.equal(first[key], last[key])


@pytest.mark.slow
@pytest.mark.long
def test_a_stopped_and_resumed_run_equals_the_unbroken_one(
    configs, student, tmp_path
):
    cfg = load(configs / 'kd.py', tmp_path)
    cfg.custom_hooks.append(dict(type='StopHook', epoch=1))
    with pytest.raises(toy.Stop):
        run_training(cfg)
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    run_training(load(configs / 'kd.py', tmp_path), resume='auto')
    whole, broken = weights(student, 2), weights(tmp_path, 2)
    assert whole.keys() == broken.keys()
    for key, value in whole.items():
        assert torch.equal(value, broken[key]), key


@pytest.mark.slow
@pytest.mark.long
def test_the_student_is_a_plain_network_when_tested(
    configs, student, tmp_path
):
    checkpoint = str(student / f'epoch_{EPOCHS}.pth')
    nowhere = str(tmp_path / 'nowhere.pth')
    distilled = load(configs / 'kd.py', tmp_path / 'kd')
    distilled.custom_hooks[0].teacher = nowhere
    distilled.model.distiller = dict(
        type='KnowledgeDistiller', teacher=nowhere, checkpoint=nowhere
    )
    result = run_test(distilled, checkpoint)
    plain = run_test(load(configs / 'oim.py', tmp_path / 'oim'), checkpoint)
    assert result == plain
    assert result['G50/queries'] == 180
    assert result['det/boxes'] > 0
    assert result['G50+gt-boxes/mAP'] > 0.05
