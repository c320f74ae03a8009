import copy

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmps.checkpoints import CheckpointError

from .toy import Stop, fingerprint, make_config, train, validation

NAN = float('nan')
#: Place in the checkpoint -> what does not belong there.
WRONG = {
    'meta.epoch': ['2', None, -1, 2**31, 1.5, True, torch.ones(1)],
    'meta.iter': ['2', [], -3],
    'meta.seed': ['a', -1, 2**32],
    'meta.batches_done': [-1, 4, 'x'],
    'meta.epoch_length': ['x', -1],
    'meta.validation_due': ['no', 1],
    'message_hub': [3, []],
    'message_hub.log_scalars': [None, [1]],
    'message_hub.runtime_info': [(), 'x'],
    'message_hub.resumed_keys': [7],
    'message_hub.log_scalars.train/loss': [
        3,
        {},
        dict(history=torch.ones(2), counts=torch.ones(3), max_length=9),
        dict(history=torch.ones(2, 2), counts=torch.ones(2), max_length=9),
        dict(history=torch.ones(2), counts=torch.ones(2), max_length='x'),
        dict(history=torch.ones(2), counts=torch.ones(2), max_length=0),
        dict(history=[1.0], counts=[1.0], max_length=9),
    ],
    'message_hub.runtime_info.keep_ckpt_ids': [3, ['1'], [-1]],
    'message_hub.runtime_info.last_ckpt': [3],
    'message_hub.runtime_info.best_ckpt': [['a']],
    'message_hub.runtime_info.best_score': ['0.5', None],
    'optimizer': [None, [], {}],
    'optimizer.state': [None, [1], {99: {}}, {'a': {}}, {0: 3}],
    'optimizer.state.0.momentum_buffer': [
        'x',
        torch.ones(2),
        torch.full((8, 4), NAN),
        torch.ones(8, 4, dtype=torch.long),
    ],
    'optimizer.param_groups': [None, [], [3], [{}, {}]],
    'optimizer.param_groups.0.params': [None, [0], 'abcdef', [0, 1, 2, []]],
    'optimizer.param_groups.0.lr': ['x', None, NAN, [1], True],
    'optimizer.base_param_settings': [3, {}, dict(lr='x')],
    'param_schedulers': [3, [], [{}], [3], [{}, {}]],
    'param_schedulers.0.last_step': ['x', 1.5, None],
    'param_schedulers.0.milestones': [3, ['x']],
    'param_schedulers.0.step': [3],
}


@pytest.fixture(scope='module')
def interrupted(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('interrupted')
    with pytest.raises(Stop):
        train(work_dir, custom_hooks=[dict(type='StopHook', epoch=2)])
    return torch.load(work_dir / 'epoch_2.pth')


@pytest.fixture(scope='module')
def runner(tmp_path_factory):
    """A run that is about to resume."""
    from mmengine.runner import Runner

    cfg = make_config(tmp_path_factory.mktemp('resumed'))
    runner = Runner.from_cfg(cfg)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(
        runner.param_schedulers
    )
    runner._resume, runner._load_from = True, 'epoch_2.pth'
    return runner


def put(content, place, value):
    *path, name = place.split('.')
    if place.startswith('message_hub.log_scalars.'):
        *path, name = place.split('.', 2)
    for part in path:
        content = content[int(part) if part.isdecimal() else part]
    content[int(name) if name.isdecimal() else name] = value


@pytest.mark.parametrize('place', WRONG)
def test_a_field_of_another_kind_is_refused(place, interrupted, runner):
    for value in WRONG[place]:
        content = copy.deepcopy(interrupted)
        put(content, place, value)
        with pytest.raises(CheckpointError) as caught:
            runner.call_hook('after_load_checkpoint', checkpoint=content)
        message = str(caught.value)
        assert message.startswith('epoch_2.pth: cannot be resumed from'), value
        assert place.split('.')[0] in message, value
        assert 'load_from' in message


def test_what_was_saved_passes(interrupted, runner):
    content = copy.deepcopy(interrupted)
    runner.call_hook('after_load_checkpoint', checkpoint=content)
    loss = content['message_hub']['log_scalars']['train/loss']
    assert isinstance(loss, HistoryBuffer)


def test_averages_must_be_those_of_the_weights(interrupted, runner):
    weights = interrupted['state_dict']
    averages = {f'module.{key}': value for key, value in weights.items()}
    averages['steps'] = torch.tensor(3)
    good = {**copy.deepcopy(interrupted), 'ema_state_dict': averages}
    runner.call_hook('after_load_checkpoint', checkpoint=good)
    for change in (
        {'module.other': torch.ones(1)},
        {'module.backbone.0.weight': torch.ones(1)},
        {'module.backbone.0.weight': torch.ones(8, 4, dtype=torch.int32)},
        {'module.backbone.0.weight': 'x'},
        {'steps': 'x'},
        {7: torch.ones(1)},
    ):
        bad = copy.deepcopy(interrupted)
        bad['ema_state_dict'] = {**averages, **change}
        with pytest.raises(CheckpointError, match='ema_state_dict'):
            runner.call_hook('after_load_checkpoint', checkpoint=bad)


def test_containers_without_an_end_are_refused(interrupted, runner):
    circle = []
    circle.append(circle)
    doubled = [1]
    for _ in range(25):  # 2 ** 25 parts in some bytes
        doubled = [doubled, doubled]
    for content in (circle, doubled):
        bad = copy.deepcopy(interrupted)
        bad['meta']['dataset_meta'] = content
        with pytest.raises(CheckpointError, match='nested'):
            runner.call_hook('after_load_checkpoint', checkpoint=bad)


def test_a_history_of_mmengine_is_made_anew(interrupted, runner):
    crafted = HistoryBuffer([1.0, 2.0], [1, 1])
    crafted._statistics_methods = {'mean': 3}
    content = copy.deepcopy(interrupted)
    scalars = content['message_hub']['log_scalars']
    scalars['train/loss'] = crafted
    runner.call_hook('after_load_checkpoint', checkpoint=content)
    assert scalars['train/loss'].statistics('mean') == 1.5
    scalars['train/loss'] = HistoryBuffer([1.0], [1])
    scalars['train/loss']._log_history = 'x'
    with pytest.raises(CheckpointError, match='history'):
        runner.call_hook('after_load_checkpoint', checkpoint=content)


@pytest.mark.parametrize(
    'rows', ['x', torch.ones(1, 3), torch.full((1, 16), NAN)]
)
def test_statistics_of_processes_must_fit(rows, interrupted, tmp_path):
    torch.save(
        {**interrupted, 'batch_norm_of_ranks': rows}, tmp_path / 'x.pth'
    )
    with pytest.raises(CheckpointError, match=r'batch_norm_of_ranks .* 16'):
        train(tmp_path, resume=True, load_from=str(tmp_path / 'x.pth'))


def test_the_path_of_a_best_file_deletes_nothing_elsewhere(tmp_path):
    victim = tmp_path / 'elsewhere/best_victim.pth'
    victim.parent.mkdir()
    victim.touch()
    run = {
        **validation([0.5, 0.6, 0.9]),
        'default_hooks.checkpoint.save_best': 'mAP',
    }
    with pytest.raises(Stop):
        train(tmp_path, **run, custom_hooks=[dict(type='StopHook', epoch=2)])
    content = torch.load(tmp_path / 'epoch_2.pth')
    content['message_hub']['runtime_info']['best_ckpt'] = str(victim)
    torch.save(content, tmp_path / 'epoch_2.pth')
    whole = train(tmp_path, **run, resume=True)
    assert whole.message_hub.get_info('best_ckpt').endswith('epoch_3.pth')
    assert victim.exists()


def test_numbers_of_numpy_are_numbers(interrupted, runner):
    """Stock mmengine saves some."""
    content = copy.deepcopy(interrupted)
    content['meta']['iter'] = np.int64(6)
    content['message_hub']['runtime_info']['best_score'] = np.float32(0.5)
    content['optimizer']['param_groups'][0]['lr'] = np.float64(0.25)
    runner.call_hook('after_load_checkpoint', checkpoint=content)
    assert fingerprint(runner)
