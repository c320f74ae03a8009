from types import SimpleNamespace

import pytest
import torch

from mmps.engine import StatelessSeedHook

from .toy import (
    WORKERS,
    Stop,
    ToyData,
    fingerprint,
    train,
    validation,
)

WORKERS = {**WORKERS, 'three': {'train_dataloader.num_workers': 3}}
# more workers than processors are worth a warning to torch
pytestmark = pytest.mark.filterwarnings('ignore:This DataLoader will create')


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    return fingerprint(train(tmp_path_factory.mktemp('unbroken')))


@pytest.mark.parametrize('workers', list(WORKERS)[1:])
def test_workers_do_not_change_a_bit(workers, unbroken, tmp_path):
    assert fingerprint(train(tmp_path, **WORKERS[workers])) == unbroken


@pytest.mark.parametrize('epoch', [1, 2])
@pytest.mark.parametrize('workers', WORKERS)
def test_a_resumed_run_equals_the_unbroken_one(
    workers, epoch, unbroken, tmp_path
):
    options = WORKERS[workers]
    stop = dict(custom_hooks=[dict(type='StopHook', epoch=epoch)])
    with pytest.raises(Stop):
        train(tmp_path, **options, **stop)
    runner = train(tmp_path, resume=True, **options)
    assert runner._load_from.endswith(f'epoch_{epoch}.pth')
    assert fingerprint(runner) == unbroken


def test_a_resumed_run_with_ema_amp_and_accumulation(tmp_path):
    options = {
        'optim_wrapper.type': 'CPUAmpOptimWrapper',
        'optim_wrapper.accumulative_counts': 3,
        'optim_wrapper.clip_grad': dict(max_norm=0.5),
        **validation([0.1, 0.2, 0.3]),
    }
    ema = dict(type='EMAHook', momentum=0.3)
    options['custom_hooks'] = [ema]
    whole = fingerprint(train(tmp_path / 'whole', **options))
    stop = dict(type='StopHook', epoch=2)
    with pytest.raises(Stop):
        train(tmp_path / 'parts', **{**options, 'custom_hooks': [ema, stop]})
    resumed = train(tmp_path / 'parts', resume=True, **options)
    assert fingerprint(resumed) == whole
    saved = [
        torch.load(tmp_path / name / 'epoch_3.pth')
        for name in ('whole', 'parts')
    ]
    for part in ('state_dict', 'ema_state_dict'):
        for key, value in saved[0][part].items():
            assert torch.equal(value, saved[1][part][key])


def test_without_seeding_the_model_a_resumed_run_differs(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(
        StatelessSeedHook, 'before_train_iter', lambda *a, **k: None
    )
    # in one process the data set's own seeds would reach the model
    options = WORKERS['two']
    whole = fingerprint(train(tmp_path / 'whole', **options))
    stop = dict(custom_hooks=[dict(type='StopHook', epoch=1)])
    with pytest.raises(Stop):
        train(tmp_path / 'parts', **options, **stop)
    resumed = train(tmp_path / 'parts', resume=True, **options)
    assert fingerprint(resumed) != whole


def test_each_epoch_is_augmented_anew(unbroken, tmp_path, monkeypatch):
    monkeypatch.setattr(ToyData, 'set_epoch', lambda self, epoch: None)
    assert fingerprint(train(tmp_path)) != unbroken


def test_another_seed_gives_another_run(unbroken, tmp_path):
    assert fingerprint(train(tmp_path, randomness=dict(seed=4))) != unbroken


def test_wrappers_are_looked_through():
    parts = [ToyData(), ToyData(), ToyData()]
    # mmengine's wrappers hold what they wrap under these two names
    twice = SimpleNamespace(dataset=parts[1])
    several = SimpleNamespace(datasets=[parts[0], twice, parts[2]])
    dataset = SimpleNamespace(dataset=several)
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(dataset=dataset), epoch=5
    )
    StatelessSeedHook().before_train_epoch(runner)
    assert [part._epoch.value for part in parts] == [5, 5, 5]


def test_the_seed_reaches_the_data_set(tmp_path):
    runner = train(tmp_path, **{'train_cfg.max_epochs': 1})
    assert runner.train_dataloader.dataset.seed == 3


def test_loops_without_epochs_are_refused(tmp_path):
    loop = dict(type='IterBasedTrainLoop', max_iters=2)
    with pytest.raises(ValueError, match='IterBasedTrainLoop has no epochs'):
        train(tmp_path, train_cfg=dict(_delete_=True, **loop))
