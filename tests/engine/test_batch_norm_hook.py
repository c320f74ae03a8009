import json
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import get_priority
from torch import nn

from mmps.engine import AverageBatchNormHook
from tests.models.build import CONFIGS
from tests.ranks import run_ranks

from .toy import fingerprint_of
from .toy_ranks import run_toy_ranks

STAGES = ('after_train_epoch', 'before_val_epoch', 'before_saving')


def network():
    """A BatchNorm that trains, one that does not, and a lookup table."""
    torch.manual_seed(0)
    model = nn.ModuleDict(
        dict(
            trained=nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)),
            frozen=nn.BatchNorm1d(3),
            batch_only=nn.BatchNorm1d(3, track_running_stats=False),
            instance=nn.InstanceNorm1d(3, track_running_stats=True),
        )
    )
    model.register_buffer('table', torch.zeros(4, 2))
    model.train()['frozen'].eval()
    return model


def trained_on_own_data(rank):
    """A runner whose process has seen data that no other has."""
    model = network()
    ema = EMAHook()
    ema.ema_model = ExponentialMovingAverage(model)
    generator = torch.Generator().manual_seed(1 + rank)
    model['trained'](torch.randn(8, 2, generator=generator))
    own = dict(model.named_buffers())
    del own['trained.1.running_mean'], own['trained.1.running_var']
    del own['trained.1.num_batches_tracked']
    for buffer in own.values():
        buffer.copy_(torch.full_like(buffer, 1 + rank))
    ema.ema_model.module.load_state_dict(model.state_dict())
    return SimpleNamespace(model=model, hooks=[ema])


def state_of(runner):
    """Copies of all tensors, the moving average's under 'ema'."""
    average = runner.hooks[0].ema_model.module.state_dict()
    state = {f'ema.{key}': value for key, value in average.items()}
    state |= runner.model.state_dict()
    return {key: value.clone() for key, value in state.items()}


def states_by_stage(rank):
    """Copies before training, before and after each stage, and after two."""
    states = {}
    for stage in STAGES:
        runner, hook = trained_on_own_data(rank), AverageBatchNormHook()
        states[stage] = [state_of(runner)]
        getattr(hook, stage)(runner)  # nothing was trained
        states[stage].append(state_of(runner))
        hook.after_train_iter(runner, 0, data_batch=None, outputs=None)
        getattr(hook, stage)(runner)
        states[stage].append(state_of(runner))
        # what no training does: to see that it is not averaged again
        runner.model['trained'][1].running_mean.add_(rank)
        states[stage].append(state_of(runner))
        hook.before_val_epoch(runner)
        states[stage].append(state_of(runner))
    return states


@pytest.fixture(scope='module')
def of_ranks(tmp_path_factory):
    return run_ranks(2, tmp_path_factory.mktemp('ranks'), states_by_stage)


def same(state, other):
    return all(torch.equal(state[key], other[key]) for key in state)


@pytest.mark.parametrize('stage', STAGES)
def test_statistics_are_averaged_and_nothing_else(stage, of_ranks):
    runs = [run[stage] for run in of_ranks]
    firsts = [run[0] for run in runs]
    statistics = {
        f'{owner}trained.1.running_{kind}'
        for owner in ('', 'ema.')
        for kind in ('mean', 'var')
    }
    for rank, (own, _, averaged, *_) in enumerate(runs):
        assert statistics < set(averaged)
        assert (averaged['table'] == 1 + rank).all()
        for key, value in averaged.items():
            expected = own[key]
            if key in statistics:
                assert not torch.equal(*(first[key] for first in firsts))
                expected = (firsts[0][key] + firsts[1][key]) / 2
            assert torch.equal(value, expected), key


@pytest.mark.parametrize('stage', STAGES)
def test_what_was_not_trained_is_not_averaged(stage, of_ranks):
    for own, untrained, _, moved, then in (run[stage] for run in of_ranks):
        assert same(untrained, own)
        assert same(then, moved)


def interrupted(rank):
    """States around a stop and a resume, and what was added to the file."""
    runner, hook = trained_on_own_data(rank), AverageBatchNormHook()
    hook.after_train_iter(runner, 0)
    states, files = [state_of(runner)], [{}, {}, {}]
    hook.before_interrupting(runner)
    hook.before_save_checkpoint(runner, files[0])
    states.append(state_of(runner))
    runner._resume, runner._load_from = True, 'x.pth'
    again = AverageBatchNormHook()
    again.after_load_checkpoint(runner, files[0])
    again.before_interrupting(runner)  # before it has gone on
    again.before_save_checkpoint(runner, files[1])
    states.append(state_of(runner))
    again.before_train_iter(runner, 0)
    states.append(state_of(runner))
    again.before_saving(runner)
    again.before_save_checkpoint(runner, files[2])
    return states, files


def test_an_interrupted_run_goes_on_with_the_statistics_of_each(tmp_path):
    runs = run_ranks(2, tmp_path, interrupted)
    for rank, (states, files) in enumerate(runs):
        own, averaged, stopped_again, resumed = states
        assert not same(own, averaged)
        assert same(stopped_again, averaged)
        assert same(resumed, own)
        assert files[0].keys() == files[1].keys() == {'batch_norm_of_ranks'}
        rows, kept = (file['batch_norm_of_ranks'] for file in files[:2])
        assert torch.equal(rows, kept)
        mean = own['trained.1.running_mean']
        assert torch.equal(rows[rank, : len(mean)], mean)
        # a whole epoch has one average for all
        assert files[2] == {}
    averages = [states[1] for states, _ in runs]
    key = 'ema.trained.1.running_var'
    assert torch.equal(*(state[key] for state in averages))
    assert torch.equal(
        averages[0][key], sum(states[0][key] for states, _ in runs) / 2
    )


def test_another_number_of_processes_goes_on_with_the_averages():
    runner, hook = trained_on_own_data(0), AverageBatchNormHook()
    runner._resume, runner._load_from = True, 'x.pth'
    before = state_of(runner)
    rows = dict(batch_norm_of_ranks=torch.zeros(2, 12))
    hook.after_load_checkpoint(runner, rows)
    hook.before_train_iter(runner, 0)
    assert same(state_of(runner), before)


def test_one_process_keeps_its_bits():
    runner, hook = trained_on_own_data(0), AverageBatchNormHook()
    before = state_of(runner)
    hook.after_train_iter(runner, 0)
    hook.after_train_epoch(runner)
    assert same(state_of(runner), before)


def test_statistics_are_averaged_before_anything_is_saved_or_swapped():
    ours = get_priority(AverageBatchNormHook.priority)
    assert ours < get_priority(EMAHook.priority)
    assert ours < get_priority(CheckpointHook.priority)


def test_the_configs_average():
    runtime = Config.fromfile(CONFIGS / '_base_' / 'default_runtime.py')
    hook = HOOKS.build(runtime.default_hooks.batch_norm)
    assert isinstance(hook, AverageBatchNormHook)


@pytest.mark.slow
def test_a_file_from_within_an_epoch_has_what_both_ranks_end_with(tmp_path):
    # 12 samples on 2 ranks: 3 iterations of 2 each
    changes = {
        'train_dataloader.batch_size': 2,
        'train_cfg.max_epochs': 1,
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 3,
    }
    runs = run_toy_ranks(2, tmp_path / 'run', **changes)
    assert [code for code, _ in runs] == [0, 0], runs
    file = torch.load(tmp_path / 'run' / 'iter_3.pth', weights_only=True)
    for _, output in runs:
        done = json.loads(output.split('DONE ')[1].splitlines()[0])
        assert done['fingerprint'] == fingerprint_of(file)
