import os
import resource
import time
from pathlib import Path

import pytest
import torch
from mmdet.registry import HOOKS

from mmps.checkpoints import (
    CheckpointError,
    load_checkpoint_file,
    newest_valid_checkpoint,
)
from mmps.commands.messages import describe
from mmps.engine import checkpoint_hook
from mmps.engine.checkpoint_hook import _delete_best

from .toy import Stop, fingerprint, train, validation
from .toy_ranks import run_toy_ranks, start_toy

WEIGHTS = {'a': torch.zeros(2)}


def checkpoints(work_dir):
    return sorted(p.name for p in Path(work_dir).glob('*.pth'))


def put(folder, name, age=0, content=None):
    path = folder / name
    if content is None:
        torch.save(WEIGHTS, path)
    else:
        path.write_bytes(content)
    written = time.time() - age
    os.utime(path, (written, written))
    return path


class TestNewestValid:
    def test_the_last_written_wins(self, tmp_path):
        put(tmp_path, 'epoch_9.pth', age=60)  # of an earlier run
        newest = put(tmp_path, 'epoch_3.pth', age=10)
        put(tmp_path, 'epoch_2.pth', age=20)
        assert newest_valid_checkpoint(tmp_path) == newest

    def test_the_number_decides_a_tie(self, tmp_path):
        for name in ('iter_9.pth', 'iter_10.pth', 'iter_8.pth'):
            os.utime(put(tmp_path, name), (5, 5))
        assert newest_valid_checkpoint(tmp_path).name == 'iter_10.pth'

    def test_where_a_run_was_interrupted_counts(self, tmp_path):
        put(tmp_path, 'epoch_1.pth', age=30)
        newest = put(tmp_path, 'interrupted.pth', age=20)
        assert newest_valid_checkpoint(tmp_path) == newest
        # written in the same tick: it knows that a validation is due
        times = newest.stat()
        os.utime(put(tmp_path, 'epoch_2.pth'), ns=(0, times.st_mtime_ns))
        assert newest_valid_checkpoint(tmp_path) == newest
        later = put(tmp_path, 'epoch_3.pth', age=10)
        assert newest_valid_checkpoint(tmp_path) == later

    def test_a_copy_without_its_times_goes_on_from_the_last(self, tmp_path):
        def saved(name, moment, iteration, age):
            meta = dict(time=f'20260101_0000{moment:02}', iter=iteration)
            torch.save(dict(state_dict=WEIGHTS, meta=meta), tmp_path / name)
            written = time.time() - age
            os.utime(tmp_path / name, (written, written))

        saved('epoch_3.pth', 30, 9, age=50)  # copied first
        saved('epoch_1.pth', 10, 3, age=5)
        assert newest_valid_checkpoint(tmp_path).name == 'epoch_3.pth'
        saved('interrupted.pth', 30, 8, age=1)  # another copy is newer
        assert newest_valid_checkpoint(tmp_path).name == 'epoch_3.pth'
        saved('interrupted.pth', 30, 9, age=99)  # a validation is due
        assert newest_valid_checkpoint(tmp_path).name == 'interrupted.pth'
        saved('epoch_2.pth', 40, 6, age=70)  # of a new run
        assert newest_valid_checkpoint(tmp_path).name == 'epoch_2.pth'

    def test_damaged_ones_are_skipped(self, tmp_path):
        good = put(tmp_path, 'epoch_1.pth', age=30)
        whole = good.read_bytes()
        put(tmp_path, 'epoch_2.pth', age=20, content=whole[:-40])
        put(tmp_path, 'epoch_3.pth', age=10, content=b'')
        (tmp_path / 'last_checkpoint').write_text('epoch_3.pth')
        assert newest_valid_checkpoint(str(tmp_path)) == good

    def test_other_files_do_not_count(self, tmp_path):
        for name in ('best_mAP_epoch_3.pth', 'epoch_x.pth', 'epoch_1.pth.tmp'):
            put(tmp_path, name)
        (tmp_path / 'epoch_4.pth').mkdir()
        assert newest_valid_checkpoint(tmp_path) is None
        assert newest_valid_checkpoint(tmp_path / 'nowhere') is None

    def test_nothing_but_damaged_ones_is_an_error(self, tmp_path):
        put(tmp_path, 'epoch_2.pth', content=b'cut')
        put(tmp_path, 'epoch_1.pth', content=b'')
        with pytest.raises(CheckpointError, match='none of its 2 checkp'):
            newest_valid_checkpoint(tmp_path)


@pytest.mark.parametrize('keep', [0, 1, -2])
def test_at_least_two_are_kept(keep):
    with pytest.raises(ValueError, match=f'>= 2, or -1 .* got {keep}'):
        HOOKS.build(dict(type='SafeCheckpointHook', max_keep_ckpts=keep))


@pytest.mark.parametrize('name', ['published_keys', 'backend_args'])
def test_options_that_would_be_unsafe_are_refused(name):
    with pytest.raises(ValueError, match=f'{name}.*cannot be set'):
        HOOKS.build(dict(type='SafeCheckpointHook', **{name: ['meta']}))


@pytest.mark.parametrize(
    ('keep', 'expected'), [(2, [4, 5]), (3, [3, 4, 5]), (-1, [1, 2, 3, 4, 5])]
)
def test_outdated_checkpoints_go(keep, expected, tmp_path):
    changes = {
        'train_cfg.max_epochs': 5,
        'default_hooks.checkpoint.max_keep_ckpts': keep,
    }
    train(tmp_path, **changes)
    assert checkpoints(tmp_path) == [f'epoch_{i}.pth' for i in expected]
    note = (tmp_path / 'last_checkpoint').read_text()
    assert note == str(tmp_path / 'epoch_5.pth')


def test_nothing_is_deleted_before_the_new_file_is_there(
    tmp_path, monkeypatch
):
    seen = []
    unlink = Path.unlink

    def watched(path, *args, **kwargs):
        if path.suffix == '.pth':
            note = (tmp_path / 'last_checkpoint').read_text()
            seen.append((path.name, Path(note).name, checkpoints(tmp_path)))
        return unlink(path, *args, **kwargs)

    monkeypatch.setattr(Path, 'unlink', watched)
    train(tmp_path, **{'train_cfg.max_epochs': 4})
    assert seen == [
        (f'epoch_{i}.pth', f'epoch_{i + 2}.pth', [
            f'epoch_{j}.pth' for j in range(i, i + 3)
        ])
        for i in (1, 2)
    ]  # fmt: skip


def test_a_kill_before_the_deletion_is_made_up_for(tmp_path, monkeypatch):
    def kill(*args, **kwargs):
        raise Stop

    changes = {'train_cfg.max_epochs': 5}
    with monkeypatch.context() as patch:
        patch.setattr(Path, 'unlink', kill)
        with pytest.raises(Stop):
            train(tmp_path, **changes)
    assert checkpoints(tmp_path) == [f'epoch_{i}.pth' for i in (1, 2, 3)]
    train(tmp_path, resume=True, **changes)
    assert checkpoints(tmp_path) == ['epoch_4.pth', 'epoch_5.pth']


def test_the_best_checkpoint_follows_the_metric(tmp_path):
    changes = {
        'train_cfg.max_epochs': 5,
        'default_hooks.checkpoint.save_best': 'mAP',
        'default_hooks.checkpoint.max_keep_ckpts': -1,
        **validation([0.1, 0.3, 0.2, 0.4, 0.35]),
    }
    train(tmp_path, **changes)
    best = [n for n in checkpoints(tmp_path) if n.startswith('best')]
    assert best == ['best_mAP_epoch_4.pth']
    saved = [
        torch.load(tmp_path / name)['state_dict']
        for name in ('best_mAP_epoch_4.pth', 'epoch_4.pth')
    ]
    assert all(torch.equal(saved[0][k], saved[1][k]) for k in saved[0])


def test_a_step_that_is_saved_twice_counts_once(tmp_path):
    changes = {
        'default_hooks.checkpoint.save_best': 'mAP',
        **validation([0.1, 0.2, 0.3]),
    }
    train(tmp_path, **changes)
    assert checkpoints(tmp_path) == [
        'best_mAP_epoch_3.pth',
        'epoch_2.pth',
        'epoch_3.pth',
    ]


def test_the_old_best_goes_after_the_new_one_came(tmp_path, monkeypatch):
    seen = []
    unlink = Path.unlink

    def watched(path, *args, **kwargs):
        if path.name.startswith('best'):
            there = [n for n in checkpoints(tmp_path) if n[0] == 'b']
            seen.append((path.name, there))
        return unlink(path, *args, **kwargs)

    monkeypatch.setattr(Path, 'unlink', watched)
    changes = {
        'default_hooks.checkpoint.save_best': 'mAP',
        **validation([0.1, 0.3, 0.2]),
    }
    train(tmp_path, **changes)
    names = [f'best_mAP_epoch_{i}.pth' for i in (1, 2)]
    assert seen == [(names[0], names)]


def test_a_resumed_run_knows_the_best(tmp_path):
    changes = {
        'default_hooks.checkpoint.save_best': 'mAP',
        **validation([0.3, 0.1, 0.2]),
    }
    stop = dict(custom_hooks=[dict(type='StopHook', epoch=1)])
    with pytest.raises(Stop):
        train(tmp_path, **changes, **stop)
    train(tmp_path, resume=True, **changes)
    best = [n for n in checkpoints(tmp_path) if n.startswith('best')]
    assert best == ['best_mAP_epoch_1.pth']
    score = torch.load(tmp_path / 'epoch_3.pth')['message_hub']
    assert score['runtime_info']['best_score'] == 0.3


def test_a_file_deletes_nothing_but_the_best_of_its_run(tmp_path):
    run, other = tmp_path / 'run', tmp_path / 'other'
    for folder in (run, other):
        folder.mkdir()
        for name in ('best_mAP.pth', 'epoch_1.pth'):
            (folder / name).touch()
    _delete_best(run, str(run / 'epoch_1.pth'))
    _delete_best(run, str(other / 'best_mAP.pth'))
    assert [path.name for path in run.iterdir()] == ['epoch_1.pth']
    assert len(list(other.iterdir())) == 2


@pytest.mark.parametrize('damage', ['cut', 'gone', 'empty note'])
def test_resuming_takes_the_newest_intact_file(damage, tmp_path):
    whole = fingerprint(train(tmp_path / 'whole'))
    parts = tmp_path / 'parts'
    with pytest.raises(Stop):
        train(parts, custom_hooks=[dict(type='StopHook', epoch=2)])
    newest = parts / 'epoch_2.pth'
    if damage == 'cut':
        newest.write_bytes(newest.read_bytes()[:-1])
    elif damage == 'gone':
        newest.unlink()
    else:
        (parts / 'last_checkpoint').write_text('')
    runner = train(parts, resume=True)
    expected = 'epoch_2.pth' if damage == 'empty note' else 'epoch_1.pth'
    assert Path(runner._load_from).name == expected
    assert fingerprint(runner) == whole
    logs = ''.join(p.read_text() for p in parts.glob('*/*.log'))
    assert (f'Skipped {newest}: ' in logs) == (damage == 'cut')


def test_nothing_to_resume_starts_anew(tmp_path):
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_7.pth'))
    runner = train(tmp_path, resume=True)
    assert runner.iter == 9
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert f'Nothing to resume in {tmp_path}' in log


def test_out_dir_is_where_resuming_looks(tmp_path):
    changes = {'default_hooks.checkpoint.out_dir': str(tmp_path / 'out')}
    work_dir = tmp_path / 'work'
    stop = dict(custom_hooks=[dict(type='StopHook', epoch=1)])
    with pytest.raises(Stop):
        train(work_dir, **changes, **stop)
    assert checkpoints(tmp_path / 'out' / 'work') == ['epoch_1.pth']
    runner = train(work_dir, resume=True, **changes)
    assert Path(runner._load_from).parent == tmp_path / 'out' / 'work'


def test_checkpoints_by_iteration(tmp_path):
    changes = {
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 2,
    }
    train(tmp_path, **changes)
    assert checkpoints(tmp_path) == ['iter_8.pth', 'iter_9.pth']


def test_a_kill_before_the_last_note_is_made_up_for(tmp_path, monkeypatch):
    write = checkpoint_hook.write_atomically

    def kill(path, content):
        if content.endswith(b'epoch_3.pth'):
            path.with_name(f'.{path.name}.tmp').touch()
            raise Stop
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_hook, 'write_atomically', kill)
        with pytest.raises(Stop):
            train(tmp_path)
    (tmp_path / '.interrupted.pth.tmp').touch()  # of a kill before
    (tmp_path / '.others.tmp').touch()
    train(tmp_path, resume=True)  # has nothing left to train
    assert [path.name for path in tmp_path.glob('.*')] == ['.others.tmp']
    assert checkpoints(tmp_path) == ['epoch_2.pth', 'epoch_3.pth']
    note = (tmp_path / 'last_checkpoint').read_text()
    assert note == str(tmp_path / 'epoch_3.pth')


@pytest.mark.slow
@pytest.mark.long
def test_kill_9_at_any_time_loses_nothing(tmp_path):
    epochs = {'train_cfg.max_epochs': 5}
    whole = fingerprint(train(tmp_path / 'whole', **epochs))
    for number, delay in enumerate((0.0, 0.1, 0.2)):
        work_dir = tmp_path / f'killed{number}'
        process = start_toy(work_dir, **epochs)
        deadline = time.monotonic() + 120
        while not (work_dir / 'epoch_1.pth').exists():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.join()
        for path in work_dir.glob('*.pth'):
            load_checkpoint_file(path)
        resumed = train(work_dir, resume=True, **epochs)
        assert fingerprint(resumed) == whole
        assert checkpoints(work_dir) == ['epoch_4.pth', 'epoch_5.pth']
        assert list(work_dir.glob('.*.tmp')) == []


def test_nothing_to_resume_starts_from_the_weights_of_the_config(tmp_path):
    train(tmp_path / 'start')
    start = str(tmp_path / 'start' / 'epoch_3.pth')
    fresh = fingerprint(train(tmp_path / 'fresh', load_from=start))
    again = train(tmp_path / 'again', resume=True, start_from=start)
    assert fingerprint(again) == fresh
    assert again.iter == 9
    log = next((tmp_path / 'again').glob('*/*.log')).read_text()
    assert f'starting a new run from {start}' in log
    # there is something to resume now
    again = train(tmp_path / 'again', resume=True, start_from=start)
    assert Path(again._load_from) == tmp_path / 'again' / 'epoch_3.pth'


@pytest.fixture
def limits():
    """Those of this process, again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(
    tmp_path, limits
):
    with pytest.raises(
        CheckpointError, match=r'epoch_2\.pth: cannot write .* too large'
    ) as caught:
        train(tmp_path, custom_hooks=[dict(type='FullDiskHook')])
    assert 'set another work_dir, then resume' in describe(caught.value)
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    assert list(tmp_path.glob('.*')) == []
    load_checkpoint_file(tmp_path / 'epoch_1.pth')


def test_a_run_goes_on_when_there_is_room_again(tmp_path, limits):
    whole = fingerprint(train(tmp_path / 'whole'))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(CheckpointError):
        train(tmp_path / 'full', custom_hooks=[dict(type='FullDiskHook')])
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert fingerprint(train(tmp_path / 'full', resume=True)) == whole


def test_a_place_that_cannot_be_written_ends_the_run(tmp_path):
    (tmp_path / '.epoch_2.pth.tmp').mkdir()  # root may write anywhere else
    with pytest.raises(
        CheckpointError, match=r'epoch_2\.pth: cannot write .* directory'
    ):
        train(tmp_path)
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    note = (tmp_path / 'last_checkpoint').read_text()
    assert note == str(tmp_path / 'epoch_1.pth')


@pytest.mark.slow
@pytest.mark.long
def test_a_full_disk_of_one_process_ends_both(tmp_path):
    changes = {
        'train_dataloader.batch_size': 2,
        'custom_hooks': [dict(type='FullDiskHook')],
    }
    ended = run_toy_ranks(2, tmp_path / 'run', **changes)
    assert [code for code, _ in ended] == [1, 1], ended
    assert 'epoch_2.pth: cannot write' in ended[0][1]
    assert checkpoints(tmp_path / 'run') == ['epoch_1.pth']
