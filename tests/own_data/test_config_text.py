import subprocess
import sys

import pytest
from mmengine.config import Config

from mmps.apis import build_dataset, load_config
from mmps.commands import run_command
from mmps.datasets.errors import DatasetError
from mmps.errors import InputError
from mmps.own_data.config_text import config_text, look_at_start
from tests.datasets.layouts import write_cuhk, write_prw
from tests.markdown import ROOT

from .sources import write_coco_source


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Own data of four people, and the folder that they are in."""
    folder = tmp_path_factory.mktemp('own')
    people = [
        (f'{i}.png', [5, 5, 12, 30], dict(person_id=f'p{i % 4}'))
        for i in range(12)
    ]
    people.append(('1.png', [30, 5, 12, 30], dict(person_id=None)))
    file = write_coco_source(folder, people)
    options = ['--images', folder / 'pictures', '--out', folder / 'mine']
    arguments = list(map(str, ['coco', file, *options, '--test-share', 0.5]))
    assert run_command('convert', arguments, 'mmps convert') == 0
    return folder / 'mine'


def written(data, tmp_path, **options):
    out = tmp_path / 'mine.py'
    out.write_text(config_text(data, out, **options))
    return load_config(str(out))


def test_a_config_fits_its_data(data, tmp_path):
    cfg = written(data, tmp_path)
    for split, kind in (('train', False), ('val', True), ('test', True)):
        dataset = build_dataset(cfg, split)
        assert dataset.data_root == str(data)
        assert dataset.test_mode == kind
        assert len(dataset) == 6
    names = build_dataset(cfg, 'train').metainfo['identity_names']
    loss = cfg.model.roi_head.oim_head.loss_oim
    assert loss.num_ids == len(names) == 2
    assert loss.queue_size in (0, 8)  # the stranger is in either half
    assert cfg.train_pipeline[3].scale == cfg.test_pipeline[2].scale
    assert cfg.train_dataloader.dataset.pipeline == cfg.train_pipeline
    assert cfg.test_dataloader.dataset.pipeline == cfg.test_pipeline
    # people of 30 pixels become 48 high
    assert cfg.train_pipeline[3].scale == (96, 64)
    anchors = cfg.model.rpn_head.anchor_generator
    assert (anchors.scales, anchors.ratios) == ([1.9], [2.5])
    assert cfg.model.backbone.depth == 18
    assert cfg.model.backbone.init_cfg.checkpoint == 'torchvision://resnet18'
    assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == 100
    assert cfg.param_scheduler[1].milestones == [80]
    assert cfg.get('load_from') is None


def test_a_detector(data, tmp_path):
    cfg = written(data, tmp_path, method='det', backbone='r50', narrow=True)
    assert 'oim_head' not in cfg.model.roi_head
    assert cfg.val_evaluator.protocols == cfg.test_evaluator.protocols == []
    assert cfg.model.backbone.depth == 50
    assert cfg.model.backbone.base_channels == 32
    assert cfg.param_scheduler[1].end == cfg.train_cfg.max_epochs == 100


def test_fine_tuning_keeps_the_network_of_the_checkpoint(data, tmp_path):
    start = Config.fromfile(ROOT / 'configs/det/det_r50_crowded_3x.py').model
    cfg = written(data, tmp_path, start='zoo://det_r50_crowded_3x', epochs=3)
    anchors = start.rpn_head.anchor_generator
    assert cfg.model.rpn_head.anchor_generator.scales == anchors.scales
    assert cfg.model.rpn_head.anchor_generator.ratios == anchors.ratios
    assert cfg.model.backbone == start.backbone
    assert cfg.model.roi_head.shared_head == start.roi_head.shared_head
    assert cfg.load_from == 'zoo://det_r50_crowded_3x'
    assert cfg.default_hooks.strict_load.allow == ['roi_head.oim_head.']
    assert cfg.train_cfg.max_epochs == 3
    same = written(data, tmp_path, start='zoo://oim_r18_synth')
    assert 'allow' not in same.default_hooks.strict_load
    with pytest.raises(InputError, match='a network with r50, not r18'):
        written(
            data,
            tmp_path,
            start='zoo://det_r50_crowded_3x',
            backbone='r18',
        )


def test_options_that_contradict_the_start(data, tmp_path, monkeypatch):
    like = str(ROOT / 'configs/oim/oim_r50.py')
    with pytest.raises(ValueError, match='--like belongs to a checkpoint'):
        written(data, tmp_path, like=like)
    with pytest.raises(ValueError, match='--like is not for zoo://oim_r18_s'):
        written(data, tmp_path, start='zoo://oim_r18_synth', like=like)
    monkeypatch.setattr(
        'mmps.own_data.config_text.read_weights', lambda _: {'a': 1}
    )
    with pytest.raises(InputError, match='is no narrow network'):
        written(data, tmp_path, start='a.pth', like=like, narrow=True)


def test_a_start_that_is_none(monkeypatch):
    with pytest.raises(InputError, match='is not released'):
        look_at_start('zoo://oim_r50')
    with pytest.raises(InputError, match='is a QEEPS'):
        look_at_start('zoo://qeeps_r18_synth')
    monkeypatch.setattr(
        'mmps.own_data.config_text.read_weights', lambda _: {'a': 1}
    )
    like = str(ROOT / 'configs/light/light_mnv2_synth.py')
    with pytest.raises(InputError, match='has a TwoFCHead on its RoIs'):
        look_at_start('a.pth', like=like)


def test_a_checkpoint_needs_the_config_that_it_was_trained_with(
    tmp_path, monkeypatch
):
    file = tmp_path / 'epoch_1.pth'
    file.touch()
    monkeypatch.setattr(
        'mmps.own_data.config_text.read_weights', lambda _: {'a': 1}
    )
    with pytest.raises(InputError, match='--like CONFIG'):
        look_at_start(str(file))
    full = str(ROOT / 'configs/oim/oim_r50.py')
    begin = look_at_start(str(file), like=full)
    assert (begin.method, begin.backbone, begin.narrow) == (
        'oim',
        'r50',
        False,
    )
    assert begin.anchors == ([2, 4, 8, 16, 32], [0.5, 1.0, 2.0])
    # training leaves its config beside its checkpoints
    Config.fromfile(ROOT / 'configs/det/det_r18_synth.py').dump(
        tmp_path / 'det_r18_synth.py'
    )
    begin = look_at_start(str(file))
    assert (begin.method, begin.narrow) == ('det', True)


def test_weights_of_a_full_network_need_none_of_imagenet(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        'mmps.own_data.config_text.read_weights', lambda _: {'a': 1}
    )
    cfg = written(
        data,
        tmp_path,
        start='https://example.org/oim.pth',
        like=str(ROOT / 'configs/oim/oim_r50.py'),
    )
    assert cfg.model.backbone.init_cfg is None
    assert cfg.model.roi_head.shared_head.init_cfg is None
    assert cfg.model.backbone.depth == 50


@pytest.mark.parametrize(
    ('write', 'kind', 'people'),
    [(write_cuhk, 'CUHKSYSUDataset', 2), (write_prw, 'PRWDataset', 3)],
)
def test_the_published_layouts(write, kind, people, tmp_path):
    cfg = written(write(tmp_path / 'mine'), tmp_path)
    for split in ('train', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.type == kind
    assert cfg.model.roi_head.oim_head.loss_oim.num_ids == people


def test_data_that_cannot_train_a_search(tmp_path):
    people = [(f'{i}.png', [5, 5, 12, 30], {}) for i in range(2)]
    file = write_coco_source(tmp_path, people)
    arguments = ['coco', file, '--test', file, '--images']
    arguments += [tmp_path / 'pictures', '--out', tmp_path / 'mine']
    arguments = list(map(str, arguments))
    # the same pictures twice
    assert run_command('convert', arguments, 'mmps convert') == 2
    (tmp_path / 'mine/annotations').mkdir(parents=True)
    (tmp_path / 'mine/images').mkdir()
    for split in ('train', 'test'):
        target = tmp_path / f'mine/annotations/{split}.json'
        target.write_text(file.read_text())
    for picture in (tmp_path / 'pictures').iterdir():
        picture.rename(tmp_path / 'mine/images' / picture.name)
    with pytest.raises(DatasetError, match='train a detector: --method det'):
        written(tmp_path / 'mine', tmp_path)
    cfg = written(tmp_path / 'mine', tmp_path, method='det')
    assert cfg.test_evaluator.protocols == []


def test_the_command_writes_from_any_folder(data, tmp_path, capsys):
    arguments = [str(data), '--out', str(tmp_path / 'sub/mine.py')]
    assert run_command('init-config', arguments, 'mmps init-config') == 0
    out = capsys.readouterr().out
    assert out.endswith(f'next: mmps train {tmp_path / "sub/mine.py"}\n')
    program = (
        'from mmengine.config import Config;'
        "print(Config.fromfile('sub/mine.py').model.type)"
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == 'PersonSearchRCNN\n', done.stderr
    assert run_command('init-config', arguments, 'mmps init-config') == 2
    assert 'is there. Choose another --out' in capsys.readouterr().err
    arguments.append('--force')
    assert run_command('init-config', arguments, 'mmps init-config') == 0
    arguments += ['--epochs', '1']
    assert run_command('init-config', arguments, 'mmps init-config') == 2
    assert '--epochs must be at least 2, got 1' in capsys.readouterr().err
