"""Configs by path and by name; misspelt keys that override them."""

from pathlib import Path

import pytest

from mmps.apis import load_config, parse_options
from mmps.configs import check_overrides, config_name, find_config
from mmps.errors import InputError
from mmps.zoo import index as index_module

ROOT = Path(__file__).parents[1]
R50 = ROOT / 'configs/oim/oim_r50.py'


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    'given',
    [
        *('oim_r50', 'oim_r50.py', 'oim/oim_r50', 'oim/oim_r50.py'),
        *('configs/oim/oim_r50.py', './configs/oim/oim_r50.py', str(R50)),
    ],
)
def test_a_config_is_found_from_any_folder(given, elsewhere):
    assert find_config(given) == R50


def test_every_config_has_a_name_of_its_own(elsewhere):
    files = list(ROOT.glob('configs/[!_]*/*.py'))
    assert len(files) > 100
    assert [find_config(file.stem) for file in files] == files


def test_an_own_file_comes_first(elsewhere):
    (elsewhere / 'oim_r50.py').write_text('')
    for given in ('oim_r50', 'oim_r50.py'):
        assert find_config(given) == Path('oim_r50.py')


@pytest.mark.parametrize(
    ('given', 'meant'),
    [
        ('oim_r5O', 'configs/oim/oim_r50.py'),
        ('configs/oim/oim_r5O.py', 'configs/oim/oim_r50.py'),
        ('configs/kd/oim_r50.py', 'configs/oim/oim_r50.py'),  # its folder
        ('own/smal.py', 'own/small.py'),
    ],
)
def test_the_nearest_name_is_suggested(given, meant, elsewhere):
    (elsewhere / 'own').mkdir()
    (elsewhere / 'own/small.py').write_text('')
    with pytest.raises(InputError, match='no such config') as error:
        find_config(given)
    assert error.value.file == given
    assert error.value.hint.startswith(f'Did you mean {meant}')


def test_nonsense_is_told_where_the_names_are(elsewhere):
    with pytest.raises(InputError, match='mmps zoo list --all'):
        find_config('qqqqq')


def test_another_file_is_no_config(elsewhere):
    (elsewhere / 'notes.txt').write_text('')
    with pytest.raises(InputError, match=r'notes\.txt: is no config'):
        find_config('notes.txt')
    for folder in ('.', '', 'configs/oim'):
        with pytest.raises(InputError, match='no such config'):
            find_config(folder)


def test_without_a_zoo_a_path_is_a_path(elsewhere, monkeypatch):
    nowhere = elsewhere / 'site-packages/mmps/zoo/index.py'
    monkeypatch.setattr(index_module, '__file__', str(nowhere))
    assert find_config(R50) == R50
    with pytest.raises(InputError, match='no such config'):
        find_config('oim_r50')


@pytest.mark.parametrize(
    'given', ['a/oim_w0.1.py', 'oim_w0.1.py', 'a/oim_w0.1', 'oim_w0.1']
)
def test_a_name_may_have_a_dot(given):
    assert config_name(given) == 'oim_w0.1'


CONFIG = dict(
    model=dict(backbone=dict(depth=18, style='caffe')),
    train_cfg=dict(max_epochs=2),
    hooks=[dict(interval=1)],
)


@pytest.mark.parametrize(
    ('given', 'meant'),
    [
        ('train_cfg.max_epoch', 'train_cfg.max_epochs'),
        ('model.backbone.dept', 'model.backbone.depth'),
        ('modle.backbone.depth', 'model.backbone.depth'),
        ('hooks.0.intervall', 'hooks.0.interval'),
    ],
)
def test_a_misspelt_key_is_refused(given, meant):
    with pytest.raises(InputError, match=f'Did you mean {meant}[?]') as error:
        check_overrides(CONFIG, {given: 1})
    assert error.value.file == f'--cfg-options {given}'


@pytest.mark.parametrize(
    'given',
    [
        *('model.backbone.with_cp', 'train_cfg.val_begin', 'load_from'),
        *('model.backbone.depth', 'hooks.0.interval', 'hooks.3.interval'),
        'work_dir',
    ],
)
def test_other_keys_are_let_through(given):
    check_overrides(CONFIG, {given: 1})


def test_a_config_is_loaded_by_name_and_overridden(elsewhere):
    cfg = load_config('oim_r18_tiny', cfg_options=parse_options(['x.y=1']))
    assert cfg.work_dir == 'work_dirs/oim_r18_tiny'
    assert cfg.x == dict(y=1)
    with pytest.raises(InputError, match=r'mean train_cfg\.max_epochs'):
        load_config(
            'oim_r18_tiny',
            cfg_options=parse_options(['train_cfg.max_epoch=1']),
        )
