import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from mmps.checkpoints import CheckpointError, load_checkpoint_file
from mmps.engine.plain_checkpoint_hook import plain_parts

from .toy import Stop, train


@HOOKS.register_module()
class NotesHook(Hook):
    """Puts all kinds of things into the message hub and the checkpoint."""

    def __init__(self, extra=None) -> None:
        self.extra = extra

    def after_train_iter(self, runner, batch_idx, **kwargs) -> None:
        hub = runner.message_hub
        hub.update_info('ratio', np.float32(0.5))
        hub.update_info('table', torch.arange(3))
        hub.update_info('object', SimpleNamespace())

    def before_save_checkpoint(self, runner, checkpoint) -> None:
        checkpoint['seen'] = {'count': np.int64(3), 'ids': [np.int32(1)]}
        if self.extra == 'function':
            checkpoint['seen']['f'] = len
        if self.extra == 'nan':
            weight = checkpoint['state_dict']['backbone.0.weight']
            weight[0] = float('nan')
        if self.extra == 'expanded':
            checkpoint['state_dict']['wide'] = torch.ones(1).expand(5)
            checkpoint['seen']['wide'] = torch.ones(1).expand(7)


def test_a_checkpoint_needs_no_allow_list(tmp_path):
    train(tmp_path, custom_hooks=[dict(type='NotesHook')])
    for path in tmp_path.glob('*.pth'):
        assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []
    content = torch.load(path, weights_only=True)
    assert content['seen'] == {'count': 3, 'ids': [1]}
    assert type(content['seen']['count']) is int
    info = content['message_hub']['runtime_info']
    assert info['ratio'] == 0.5
    assert info['table'].tolist() == [0, 1, 2]
    assert 'object' not in info
    assert 'dataset_meta' not in info
    assert set(content['message_hub']['resumed_keys']) <= {
        *info,
        *content['message_hub']['log_scalars'],
    }
    assert content['meta']['dataset_meta'] == {'identity_names': ['a', 'b']}


def test_a_resumed_run_keeps_its_history(tmp_path):
    whole = train(tmp_path / 'whole')
    stop = dict(custom_hooks=[dict(type='StopHook', epoch=2)])
    with pytest.raises(Stop):
        train(tmp_path / 'parts', **stop)
    parts = train(tmp_path / 'parts', resume=True)
    for name in ('train/loss', 'train/loss_fit', 'train/lr'):
        ours, theirs = (
            run.message_hub.get_scalar(name) for run in (parts, whole)
        )
        assert isinstance(ours, HistoryBuffer)
        for a, b in zip(ours.data, theirs.data, strict=True):
            np.testing.assert_array_equal(a, b)
        assert len(ours.data[0]) == 9
    log = next(p for p in (tmp_path / 'parts').glob('*/*.log')).read_text()
    assert 'dataset metainfo' not in log


def test_what_cannot_be_saved_is_named(tmp_path):
    hook = dict(type='NotesHook', extra='function')
    with pytest.raises(
        CheckpointError, match=r'seen\.f: is a builtin_function'
    ):
        train(tmp_path, custom_hooks=[hook])
    assert list(tmp_path.glob('*.pth')) == []


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    hook = dict(type='NotesHook', extra='nan')
    with pytest.raises(
        CheckpointError,
        match=r'epoch 1, iteration 3: 1 tensors.*: backbone\.0',
    ):
        train(tmp_path, custom_hooks=[hook])
    assert list(tmp_path.glob('*.pth')) == []


def test_tensors_that_repeat_their_numbers_are_written_out(tmp_path):
    hook = dict(type='NotesHook', extra='expanded')
    train(tmp_path, custom_hooks=[hook], **{'train_cfg.max_epochs': 1})
    content = load_checkpoint_file(tmp_path / 'epoch_1.pth')
    assert content['state_dict']['wide'].tolist() == 5 * [1]
    assert content['seen']['wide'].tolist() == 7 * [1]


def test_plain_parts():
    @dataclasses.dataclass
    class Query:
        image: int

    meta = dict(
        classes=('person',),
        identity_names=['p1', 'p2'],
        queries=(Query(0),),
        protocols={'G100': Query(0), 'n': np.int64(4)},
        array=np.zeros(2),
        nested=[[1, None], {'a': True}],
    )
    assert plain_parts(meta) == dict(
        classes=('person',),
        identity_names=['p1', 'p2'],
        protocols={'n': 4},
        nested=[[1, None], {'a': True}],
    )
