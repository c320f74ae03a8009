import math
import re
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.hooks import CheckpointHook
from mmengine.runner import get_priority

from mmps.engine import NonFiniteLossHook

from .toy import train

RUNNER = SimpleNamespace(iter=6, epoch=2)


def check(outputs, batch=None):
    NonFiniteLossHook().after_train_iter(
        RUNNER, 0, data_batch=batch, outputs=outputs
    )


def terms(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


def test_finite_losses_pass():
    check(terms(loss=1.0, loss_oim=0.0, acc=99.0))
    check(terms(loss=1e38, loss_oim=1e38))  # their sum would be infinite
    check(None)


def test_what_is_no_loss_may_be_nan():
    check(terms(loss=1.0, acc=math.nan))


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_the_message_tells_all(value):
    samples = [
        DetDataSample(metainfo={'img_path': f'data/s{i}.jpg'}) for i in (2, 1)
    ]
    batch = dict(
        inputs=[torch.ones(1)] * 2, data_samples=[samples[:1], samples]
    )
    with pytest.raises(FloatingPointError) as caught:
        check(terms(loss=value, loss_cls=0.5, loss_oim=value), batch)
    message = str(caught.value)
    assert message.startswith('iteration 7, epoch 3, rank 0: ')
    assert f'loss={value:g}, loss_cls=0.5, loss_oim={value:g}.' in message
    assert 'Images: data/s1.jpg, data/s2.jpg.' in message


def test_batches_of_another_kind():
    with pytest.raises(FloatingPointError, match='Images: not known'):
        check(terms(loss=math.nan), (torch.ones(1), [1, None]))


def test_a_run_stops_and_keeps_the_good_checkpoint(tmp_path):
    with pytest.raises(FloatingPointError) as caught:
        train(tmp_path, **{'model.nan_at': '0:5'})
    message = str(caught.value)
    assert message.startswith('iteration 5, epoch 2, rank 0')
    assert len(re.findall(r'img/\d+\.jpg', message)) == 4
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']


def test_a_run_that_diverges_by_itself_stops(tmp_path):
    with pytest.raises(FloatingPointError, match=r'loss_size=(inf|nan)'):
        train(tmp_path, **{'optim_wrapper.optimizer.lr': 1e30})
    assert list(tmp_path.glob('*.pth')) == []


def test_the_hook_runs_before_all_that_saves_or_averages():
    hooks = dict(type='NonFiniteLossHook'), dict(type='EMAHook')
    ours, theirs = (get_priority(HOOKS.build(h).priority) for h in hooks)
    assert ours < theirs < get_priority(CheckpointHook.priority)
