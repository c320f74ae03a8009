import os
import signal
from pathlib import Path

import pytest
import torch

from mmps.checkpoints import newest_valid_checkpoint
from mmps.engine import Interrupted

from .toy import (
    WORKERS,
    Stop,
    ToyData,
    ToyMetric,
    fingerprint,
    history,
    logged,
    train,
    validation,
)
from .toy_ranks import run_toy_ranks

EPOCHS, BATCHES = 3, 5
#: Everything that a run can carry from one iteration into the next.
OPTIONS = {
    'train_dataloader.dataset.size': 4 * BATCHES - 1,
    'default_hooks.logger.interval': 1,
    'default_hooks.checkpoint.save_best': 'mAP',
    'param_scheduler': [
        dict(
            type='LinearLR',
            start_factor=0.1,
            end=1,
            by_epoch=True,
            convert_to_iter_based=True,
        ),
        dict(type='MultiStepLR', milestones=[1, 2], gamma=0.5),
    ],
    'custom_hooks': [dict(type='EMAHook', momentum=0.3)],
    **validation([0.1, 0.3, 0.2]),
}
# more workers than processors are worth a warning to torch
pytestmark = pytest.mark.filterwarnings('ignore:This DataLoader will create')


def run(work_dir, options=OPTIONS, **changes):
    """Train to the end; what two runs must have in common, bit for bit."""
    runner = train(work_dir, **{**options, **changes})
    return dict(
        weights=fingerprint(runner),
        history=history(work_dir / f'epoch_{EPOCHS}.pth'),
        logged=logged(work_dir),
    )


def stop(work_dir, options=OPTIONS, **send):
    """A run that sends itself a signal, see SignalHook."""
    hooks = [*options.get('custom_hooks', []), dict(type='SignalHook', **send)]
    with pytest.raises(Interrupted) as stopped:
        train(work_dir, **{**options, 'custom_hooks': hooks})
    return stopped.value


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    return run(tmp_path_factory.mktemp('unbroken'))


@pytest.mark.parametrize(
    ('iteration', 'workers'),
    [
        *((iteration, 'none') for iteration in (1, 6, 8, 14)),
        *((6, 'two'), (14, 'two'), (8, 'two persistent')),
    ],
)
def test_stopped_and_resumed_equals_unbroken(
    iteration, workers, unbroken, tmp_path
):
    options = {**OPTIONS, **WORKERS[workers]}
    stop(tmp_path, options, at=iteration)
    meta = torch.load(tmp_path / 'interrupted.pth')['meta']
    epoch, before = divmod(iteration - 1, BATCHES)
    found = [meta[key] for key in ('iter', 'epoch', 'batches_done')]
    assert found == [iteration, epoch, before + 1]
    assert run(tmp_path, options, resume=True) == unbroken
    assert not (tmp_path / 'interrupted.pth').exists()


@pytest.mark.parametrize('kind', ['EpochBasedTrainLoop', 'ResumableTrainLoop'])
@pytest.mark.parametrize(
    ('options', 'validated'),
    [
        (dict(val_interval=1), [0.1, 0.3, 0.2]),
        (dict(val_interval=2), [0.3, 0.2]),
        (dict(val_interval=99), [0.2]),
        (dict(val_interval=99, val_begin=EPOCHS + 1), []),
    ],
)
def test_the_last_epoch_is_validated_as_by_mmengine(
    kind, options, validated, tmp_path
):
    loop = dict(type=kind, max_epochs=EPOCHS, **options)
    train(tmp_path, **{**OPTIONS, 'train_cfg': loop})
    found = [line['mAP'] for line in logged(tmp_path) if 'mAP' in line]
    assert found == validated


def test_the_next_checkpoint_takes_its_place(tmp_path):
    options = {**OPTIONS, 'train_cfg.val_begin': EPOCHS + 1}
    stop(tmp_path, options, at=6)
    assert (tmp_path / 'interrupted.pth').exists()
    train(tmp_path, **options, resume=True)
    assert not (tmp_path / 'interrupted.pth').exists()


@pytest.mark.parametrize(
    ('stage', 'at'),
    [
        ('before_train_iter', 5),  # the last of epoch 1
        ('before_save_checkpoint', 1),  # of epoch 1
        ('after_train_epoch', 2),
        ('before_val', 1),
        ('before_val_epoch', 2),
        ('after_val_iter', 1),
        ('after_val_iter', 6),  # the last of all
        ('after_val_epoch', 2),  # its result is stored first
    ],
)
def test_stopped_outside_of_an_iteration(stage, at, unbroken, tmp_path):
    stop(tmp_path, stage=stage, at=at)
    meta = torch.load(tmp_path / 'interrupted.pth')['meta']
    assert meta.get('validation_due', False) == (stage != 'after_val_epoch')
    assert meta['batches_done'] == 0
    assert run(tmp_path, resume=True) == unbroken
    assert not (tmp_path / 'interrupted.pth').exists()


def test_stopped_while_scores_are_computed(unbroken, tmp_path, monkeypatch):
    done = []

    def compute(metric, results):
        done.append('begin')
        os.kill(os.getpid(), signal.SIGTERM)
        done.append('end')

    with monkeypatch.context() as patch:
        patch.setattr(ToyMetric, 'compute_metrics', compute)
        with pytest.raises(Interrupted):
            train(tmp_path, **OPTIONS)
    assert done == ['begin']
    assert run(tmp_path, resume=True) == unbroken


def test_a_validation_that_was_killed_is_run_again(
    unbroken, tmp_path, monkeypatch
):
    def kill(metric, results):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(ToyMetric, 'compute_metrics', kill)
        with pytest.raises(Stop):
            train(tmp_path, **OPTIONS)
    assert (tmp_path / 'epoch_1.pth').exists()
    assert run(tmp_path, resume=True) == unbroken


def test_stopped_between_epochs(tmp_path):
    whole = fingerprint(train(tmp_path / 'whole'))
    stop(tmp_path, {}, stage='before_train')
    stop(tmp_path, {'resume': True}, stage='after_train_epoch')
    meta = torch.load(tmp_path / 'interrupted.pth')['meta']
    assert [meta[key] for key in ('epoch', 'iter', 'batches_done')] == [
        1,
        3,
        0,
    ]
    assert fingerprint(train(tmp_path, resume=True)) == whole


def test_stopped_again_and_again(unbroken, tmp_path):
    stop(tmp_path, at=2)
    for at in (2, 4):
        stop(tmp_path, {**OPTIONS, 'resume': True}, at=at)
    assert torch.load(tmp_path / 'interrupted.pth')['meta']['iter'] == 8
    assert run(tmp_path, resume=True) == unbroken


def test_a_signal_during_the_last_checkpoint_stops_nothing(tmp_path):
    options = {'custom_hooks': [dict(type='SignalHook', stage='after_train')]}
    train(tmp_path, **options)
    assert (tmp_path / 'epoch_3.pth').exists()


@pytest.mark.parametrize(
    ('signum', 'code'),
    [(signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGINT, 130)],
)
def test_signals_have_exit_codes_and_one_line(
    signum, code, heard, tmp_path, capfd
):
    before = signal.getsignal(signum)
    # as often as a launcher may send it
    stopped = stop(tmp_path, {}, at=4, signum=int(signum), times=3)
    assert stopped.code == code
    assert signal.getsignal(signum) is before
    out, err = capfd.readouterr()
    name = signal.Signals(signum).name
    assert err.count('saving, then stopping') == 1
    stopped = [line for line in (out + err).splitlines() if 'Stopped' in line]
    file = tmp_path / 'interrupted.pth'
    assert len(stopped) == 1
    assert stopped[0].endswith(
        f'Stopped by {name} in epoch 2, iteration 1 of 3; saved {file}: '
        'continue with --resume'
    )


def test_what_is_ignored_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        hook = dict(type='SignalHook', signum=int(signal.SIGUSR1))
        train(tmp_path, custom_hooks=[hook])
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_skipped_samples_are_not_loaded(tmp_path, monkeypatch):
    stop(tmp_path, {}, at=5)
    loaded = []
    load = ToyData.__getitem__

    def watched(data, index):
        loaded.append(index)
        return load(data, index)

    monkeypatch.setattr(ToyData, '__getitem__', watched)
    train(tmp_path, resume=True)
    assert len(loaded) == 4 + 12  # the last batch of epoch 2, epoch 3


def test_checkpoints_by_iteration_resume_within_an_epoch(tmp_path):
    options = {
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 4,
        'default_hooks.checkpoint.max_keep_ckpts': -1,
    }
    whole = fingerprint(train(tmp_path, **options))
    for at in (4, 8):
        resumed = train(
            tmp_path / str(at),
            **options,
            resume=True,
            load_from=str(tmp_path / f'iter_{at}.pth'),
        )
        assert fingerprint(resumed) == whole


def test_accumulated_gradients_are_completed(tmp_path):
    options = {
        'optim_wrapper.accumulative_counts': 2,
        'train_dataloader.dataset.size': 16,
    }
    whole = fingerprint(train(tmp_path / 'whole', **options))
    stop(tmp_path, options, at=5)
    assert torch.load(tmp_path / 'interrupted.pth')['meta']['iter'] == 6
    assert fingerprint(train(tmp_path, **options, resume=True)) == whole


def test_an_epoch_of_another_length_is_refused(tmp_path):
    stop(tmp_path, {}, at=5)
    size = {'train_dataloader.batch_size': 2}
    with pytest.raises(
        ValueError, match=r'2 of 3 batches of epoch 2, .* has 6'
    ):
        train(tmp_path, **size, resume=True)
    # that of a whole epoch goes on
    whole = str(tmp_path / 'epoch_1.pth')
    train(tmp_path, **size, resume=True, load_from=whole)


def test_the_loop_of_mmengine_is_refused_within_an_epoch(tmp_path):
    stop(tmp_path, {}, at=5)
    loop = dict(type='EpochBasedTrainLoop', max_epochs=3)
    with pytest.raises(ValueError, match=r'within epoch 2.*Resumable'):
        train(tmp_path, train_cfg=dict(_delete_=True, **loop), resume=True)


def test_without_a_safe_checkpoint_hook_nothing_is_saved(tmp_path, capfd):
    options = {'default_hooks.checkpoint': None}
    assert stop(tmp_path, options, at=5).code == 143
    assert 'nothing was saved, without a' in capfd.readouterr().out
    assert newest_valid_checkpoint(tmp_path) is None


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ('stage', 'at'),
    [('before_train_iter', 4), ('before_val', 2), ('after_val_iter', 1)],
)
def test_one_rank_is_asked_and_all_stop(stage, at, tmp_path):
    options = {
        **OPTIONS,
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 1,
        'val_dataloader.dataset.size': 7,
    }
    asked = dict(type='SignalHook', stage=stage, at=at, rank=1)
    hooks = [*OPTIONS['custom_hooks'], asked]
    whole = run_toy_ranks(2, tmp_path / 'whole', **options)
    parts = tmp_path / 'parts'
    stopped = run_toy_ranks(2, parts, **{**options, 'custom_hooks': hooks})
    assert [code for code, _ in stopped] == [143, 143], stopped
    assert (parts / 'interrupted.pth').exists()
    resumed = run_toy_ranks(2, parts, **options, resume=True)
    assert [code for code, _ in resumed] == [0, 0], resumed
    before, after = (run[0][1].split('DONE ')[1] for run in (whole, resumed))
    assert after == before
    files = [Path(tmp_path) / n / 'epoch_3.pth' for n in ('whole', 'parts')]
    assert history(files[1]) == history(files[0])
    assert logged(parts) == logged(tmp_path / 'whole')
