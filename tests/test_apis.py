import copy

import pytest
from mmengine.config import Config

from mmps.apis import (
    UNTRAINED,
    _read_asked_protocols,
    build_dataset,
    load_config,
    parse_options,
    run_test,
    run_training,
    table_of,
)
from mmps.errors import InputError
from tests.datasets.layouts import write_cuhk

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
    with pytest.raises(InputError, match="got 'train_cfg'"):
        parse_options(['a=1', 'train_cfg'])
    assert parse_options([]) == {}


def test_scaling_needs_to_know_the_batch_of_the_learning_rate():
    cfg = load_config(CONFIG)
    cfg.pop('auto_scale_lr')
    with pytest.raises(ValueError, match='base_batch_size'):
        run_training(cfg, auto_scale_lr=True)


def test_accumulated_gradients_count_as_one_batch(monkeypatch):
    monkeypatch.setattr('mmps.apis._train', lambda cfg: None)
    cfg = load_config(CONFIG)
    batch = cfg.auto_scale_lr.base_batch_size
    run_training(cfg, accumulate=4, auto_scale_lr=True)
    assert cfg.optim_wrapper.accumulative_counts == 4
    # four iterations of one image are a batch of four
    assert cfg.auto_scale_lr.base_batch_size == batch / 4
    with pytest.raises(ValueError, match='--accumulate must be at least 1'):
        run_training(load_config(CONFIG), accumulate=0)


@pytest.fixture
def started(monkeypatch):
    """Configs that would have been run."""
    configs = []

    def start(cfg, *args, **kwargs):
        configs.append(cfg)

    monkeypatch.setattr('mmps.apis._test', start)
    monkeypatch.setattr('mmps.apis._table', start)
    return configs


def distilled():
    cfg = load_config('configs/kd/oim_r18_oim50_quick.py')
    cfg.model.distiller = dict(
        type='KnowledgeDistiller', teacher='x.py', checkpoint='x.pth'
    )
    cfg.resume = True
    return cfg


@pytest.mark.parametrize('run', [run_test, table_of])
def test_a_test_needs_no_training_set_and_no_teacher(run, started):
    run(distilled(), 'epoch_3.pth')
    (cfg,) = started
    assert 'distiller' not in cfg.model
    for part in ('train', 'val'):
        assert cfg[f'{part}_cfg'] is None
        assert cfg[f'{part}_dataloader'] is None
    assert cfg.optim_wrapper is None
    assert cfg.test_dataloader.dataset.type == 'CUHKSYSUDataset'
    assert (cfg.load_from, cfg.resume) == ('epoch_3.pth', False)


def test_a_baseline_loads_nothing(started):
    run_test(load_config(CONFIG), UNTRAINED)
    assert started[0].load_from is None


def test_a_folder_named_untrained_is_no_network(
    started, tmp_path, monkeypatch
):
    cfg = load_config(CONFIG)
    (tmp_path / 'untrained').mkdir()
    monkeypatch.chdir(tmp_path)
    run_test(cfg, UNTRAINED)
    assert started[0].model.type == 'PersonSearchRCNN'


def test_a_table_is_of_training_images_as_they_are_tested(started):
    before = load_config(CONFIG)
    table_of(load_config(CONFIG), 'epoch_3.pth')
    loader = started[0].test_dataloader
    dataset = loader.dataset
    assert dataset.split == 'train'
    assert dataset.test_mode
    assert dataset.data_root == before.train_dataloader.dataset.data_root
    assert dataset.pipeline == before.test_dataloader.dataset.pipeline
    assert 'RandomFlip' in str(before.train_dataloader.dataset.pipeline)
    assert 'RandomFlip' not in str(dataset.pipeline)
    assert loader.sampler.shuffle is False
    assert loader.get('drop_last', False) is False


@pytest.mark.parametrize(
    ('resume', 'load_from', 'start_from'),
    [
        ('auto', None, 'start.pth'),
        ('epoch_3.pth', 'epoch_3.pth', None),
        (None, 'start.pth', None),
    ],
)
def test_resuming_keeps_in_mind_where_to_start(
    resume, load_from, start_from, monkeypatch
):
    monkeypatch.setattr('mmps.apis._train', lambda cfg: None)
    cfg = load_config(CONFIG, cfg_options=dict(load_from='start.pth'))
    run_training(cfg, resume=resume)
    assert cfg.load_from == load_from
    assert cfg.get('start_from') == start_from
    assert cfg.resume == (resume is not None)


def test_a_table_of_pairs_is_of_their_images(started):
    cfg = load_config('configs/qeeps/qeeps_r18_tiny.py')
    images = cfg.train_dataloader.dataset.dataset
    table_of(cfg, 'epoch_2.pth')
    dataset = started[0].test_dataloader.dataset
    assert dataset.type == images.type == 'CUHKSYSUDataset'
    assert dataset.split == 'train'


@pytest.fixture
def six_images(tmp_path):
    cfg = load_config(CONFIG, work_dir=str(tmp_path / 'work'))
    write_cuhk(tmp_path / 'data')
    for part in ('train', 'val', 'test'):
        loader = cfg[f'{part}_dataloader']
        loader.dataset.data_root = str(tmp_path / 'data')
        loader.update(num_workers=0, persistent_workers=False)
    return cfg


@pytest.mark.parametrize(
    ('protocols', 'asked', 'message'),
    [
        (None, 'G4000', "no protocol 'G4000'"),
        (['all'], 'G50', "no protocol 'G50' .* it has: all"),
        ([], None, 'no search to show'),
    ],
)
def test_what_cannot_be_shown_is_refused_before_the_test(
    six_images, tmp_path, protocols, asked, message, monkeypatch
):
    six_images.test_evaluator.protocols = protocols
    six_images.experiment_name = f'show{message}'
    monkeypatch.setattr('mmps.apis.QuietRunner.test', None)  # not called
    show = dict(out=str(tmp_path / 'show'), protocol=asked)
    with pytest.raises(ValueError, match=message):
        run_test(six_images, UNTRAINED, show=show)
    assert not (tmp_path / 'show').exists()


def test_a_data_set_has_the_pipeline_of_its_loader(six_images):
    assert build_dataset(six_images, 'train').split == 'train'
    assert build_dataset(six_images, 'test').split == 'test'
    six_images.val_dataloader = None
    with pytest.raises(ValueError, match='has no val_dataloader'):
        build_dataset(six_images, 'val')


@pytest.mark.parametrize(
    ('data', 'metric', 'read'),
    [
        ({}, {}, None),
        ({}, dict(protocols=['G100']), ['G100']),
        ({}, dict(protocols=[]), []),
        (dict(protocols=['G50', 'G100']), dict(protocols=['G50']), None),
        (dict(type='CocoDataset'), dict(protocols=['G50']), None),
    ],
    ids=['all', 'one', 'none', 'data set says so', 'not ours'],
)
def test_the_data_set_reads_the_protocols_that_are_scored(data, metric, read):
    cfg = Config(
        dict(
            test_dataloader=dict(dataset=dict(type='CUHKSYSUDataset') | data),
            test_evaluator=dict(type='PersonSearchMetric') | metric,
        )
    )
    before = copy.deepcopy(cfg.test_dataloader.dataset)
    _read_asked_protocols(cfg)
    dataset = cfg.test_dataloader.dataset
    assert dataset == (
        before if read is None else before | {'protocols': read}
    )
