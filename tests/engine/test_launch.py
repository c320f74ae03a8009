import datetime
import os
import re

import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmps.engine import finish, launched, prepare_launcher

from .toy import train
from .toy_ranks import run_toy_ranks


@pytest.fixture
def started(monkeypatch):
    """Record calls that would start a process group."""
    calls = []
    monkeypatch.setattr(
        dist, 'init_process_group', lambda *a, **k: calls.append((a, k))
    )
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    return calls


@pytest.mark.parametrize('launcher', ['none', None])
def test_without_a_launcher_nothing_happens(launcher, started):
    cfg = Config(dict(launcher=launcher))
    prepare_launcher(cfg)
    assert not started
    assert 'model_wrapper_cfg' not in cfg


def test_with_a_gpu_mmengine_does_it(started, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = Config(dict(launcher='pytorch'))
    prepare_launcher(cfg)
    assert not started
    assert 'model_wrapper_cfg' not in cfg


def test_ddp_is_told_that_there_is_no_device(started):
    cfg = Config(
        dict(
            launcher='pytorch',
            find_unused_parameters=True,
            model_wrapper_cfg=dict(static_graph=True),
            env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=7)),
        )
    )
    prepare_launcher(cfg)
    assert cfg.model_wrapper_cfg.to_dict() == dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=True,
        static_graph=True,
    )
    seven = datetime.timedelta(seconds=7)
    assert started == [(('gloo',), dict(timeout=seven))]


def test_slurm_speaks_for_torch(started, monkeypatch, tmp_path):
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\nprintf "node3\\nnode4\\n"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    slurm = dict(PROCID='5', NTASKS='8', LOCALID='1', NODELIST='node[3-4]')
    for name, value in slurm.items():
        monkeypatch.setenv(f'SLURM_{name}', value)
    torchs = ['RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT']
    for name in torchs:  # set first, so that it is undone afterwards
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    prepare_launcher(Config(dict(launcher='slurm')))
    found = [os.environ[name] for name in torchs]
    assert found == ['5', '8', '1', 'node3', '29500']
    assert len(started) == 1


def test_slurm_without_srun_is_named(started, monkeypatch):
    monkeypatch.delenv('SLURM_PROCID', raising=False)
    with pytest.raises(RuntimeError, match='SLURM_PROCID: start with srun'):
        prepare_launcher(Config(dict(launcher='slurm')))


def test_other_launchers_are_named(started):
    with pytest.raises(ValueError, match="got 'mpi'"):
        prepare_launcher(Config(dict(launcher='mpi')))


def test_averaging_the_lookup_table_is_refused(started):
    cfg = Config(dict(custom_hooks=[dict(type='SyncBuffersHook')]))
    with pytest.raises(ValueError, match='averages every buffer'):
        prepare_launcher(cfg)


def test_an_error_leaves_without_waiting(monkeypatch):
    calls = []
    monkeypatch.setattr(dist, 'is_initialized', lambda: True)
    monkeypatch.setattr(dist, 'barrier', lambda: calls.append('wait'))
    monkeypatch.setattr(
        dist, 'destroy_process_group', lambda: calls.append('leave')
    )
    with pytest.raises(KeyError):
        launched(Config({}), {}.__getitem__, 'nothing')
    assert calls == ['leave']
    assert launched(Config({}), divmod, 7, 3) == (2, 1)
    assert calls == ['leave', 'wait', 'leave']


def test_the_log_file_keeps_the_traceback(tmp_path, capfd):
    def fail():
        raise ValueError('s1.jpg is broken')

    file = tmp_path / 'x.log'
    logger = MMLogger.get_instance('test_launch', log_file=str(file))
    try:
        with pytest.raises(ValueError, match='broken'):
            launched(Config(dict(launcher='none')), fail)
    finally:
        MMLogger._instance_dict.pop('test_launch')
        for handler in logger.handlers:
            handler.close()
    text = file.read_text()
    assert 'Traceback (most recent call last):' in text
    assert "raise ValueError('s1.jpg is broken')" in text
    assert capfd.readouterr() == ('', '')  # the command prints the message


def test_finish_does_nothing_alone():
    finish()


SMOOTH = {  # without dropout and BatchNorm, two ranks equal one
    'optim_wrapper.optimizer.momentum': 0.9,
    'model.smooth': True,
}


@pytest.mark.slow
@pytest.mark.long
def test_two_ranks_equal_one(tmp_path):
    halves = {'train_dataloader.batch_size': 2}
    results = run_toy_ranks(2, tmp_path / 'two', **SMOOTH, **halves)
    assert [code for code, _ in results] == [0, 0], results
    done = [out.split('DONE ')[1].splitlines()[0] for _, out in results]
    assert done[0] == done[1]
    assert 'MMDistributedDataParallel' in done[0]
    train(tmp_path / 'one', **SMOOTH)
    two, one = (
        torch.load(tmp_path / name / 'epoch_3.pth')['state_dict']
        for name in ('two', 'one')
    )
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.long
def test_nan_on_one_rank_stops_all(tmp_path):
    # 12 samples on 2 ranks: 3 iterations of 2 each
    changes = {'model.nan_at': '1:5', 'train_dataloader.batch_size': 2}
    results = run_toy_ranks(2, tmp_path / 'run', **changes)
    assert [code for code, _ in results] == [1, 1], results
    other, guilty = (output for _, output in results)
    where = 'FloatingPointError: iteration 5, epoch 2'
    assert f'{where}, rank 1: a loss is NaN or infinite: loss=nan' in guilty
    assert 'loss_fit=nan' in guilty
    assert len(re.findall(r'img/\d+\.jpg', guilty)) == 2
    assert f'{where}: stopped because a loss of rank 1 is' in other
    assert [p.name for p in (tmp_path / 'run').glob('*.pth')] == [
        'epoch_1.pth'
    ]


@pytest.mark.slow
@pytest.mark.long
def test_ranks_resume_from_the_same_file(tmp_path):
    halves = {'train_dataloader.batch_size': 2}
    stop = dict(custom_hooks=[dict(type='StopHook', epoch=2)])
    whole = run_toy_ranks(2, tmp_path / 'whole', **halves)
    stopped = run_toy_ranks(2, tmp_path / 'parts', **halves, **stop)
    assert [code for code, _ in stopped] == [1, 1], stopped
    newest = tmp_path / 'parts' / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:-9])
    resumed = run_toy_ranks(2, tmp_path / 'parts', resume=True, **halves)
    assert [code for code, _ in resumed] == [0, 0], resumed
    ends = {
        output.split('DONE ')[1].splitlines()[0]
        for _, output in (*whole, *resumed)
    }
    assert len(ends) == 1
