import pytest

from mmps.apis import load_config, parse_options, run_training

CONFIG = 'configs/oim/oim_r18_tiny.py'


def test_a_run_goes_to_the_folder_of_its_config():
    assert load_config(CONFIG).work_dir == 'work_dirs/oim_r18_tiny'
    assert load_config(CONFIG, work_dir='here').work_dir == 'here'


def test_options_override_the_config():
    options = parse_options(
        ['train_cfg.max_epochs=2', 'a=[1,2.5]', 'b=None', 'c=word']
    )
    assert options == {
        'train_cfg.max_epochs': 2,
        'a': [1, 2.5],
        'b': None,
        'c': 'word',
    }
    cfg = load_config(CONFIG, cfg_options=options, launcher='slurm')
    assert cfg.train_cfg.max_epochs == 2
    assert cfg.launcher == 'slurm'


def test_an_option_without_value_is_refused():
    with pytest.raises(ValueError, match="got 'train_cfg'"):
        parse_options(['a=1', 'train_cfg'])
    assert parse_options([]) == {}


def test_scaling_needs_to_know_the_batch_of_the_learning_rate():
    cfg = load_config(CONFIG)
    cfg.pop('auto_scale_lr')
    with pytest.raises(ValueError, match='base_batch_size'):
        run_training(cfg, auto_scale_lr=True)
