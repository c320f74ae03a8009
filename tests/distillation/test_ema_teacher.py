"""A network trained with EMAHook teaches as any other does."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from mmps.distillation import read_table
from tests.distillation.networks import network_config
from tests.distillation.runs import load, run_of, same
from tests.engine import toy

OIM = 'roi_head.oim_head.loss_oim.'
MOMENTUM = 0.25
MODES = pytest.mark.parametrize('buffers', [False, True])


@HOOKS.register_module()
class TableWatch(Hook):
    """Keeps table and queue position of the live network after each step."""

    def __init__(self):
        self.tables, self.heads = [], []

    def after_train_iter(self, runner, *args, **kwargs):
        loss = runner.model.roi_head.oim_head.loss_oim
        self.tables.append(loss.table.clone())
        self.heads.append(int(loss.queue_head))


def ema(buffers):
    return dict(type='EMAHook', momentum=MOMENTUM, update_buffers=buffers)


def run(folder, *hooks, **changes):
    cfg = run_of(folder, network_config(oim=True), **changes)
    cfg.custom_hooks = list(hooks)
    return toy.run(cfg)


@pytest.mark.slow
@MODES
def test_the_file_has_names_and_a_table_that_a_student_takes(
    buffers, tmp_path
):
    watch = dict(type='TableWatch')
    runner = run(tmp_path / 'teacher', ema(buffers), watch)
    (seen,) = [hook for hook in runner.hooks if isinstance(hook, TableWatch)]
    path = tmp_path / 'teacher/epoch_2.pth'
    file = load(path)
    state = file['state_dict']
    expected = seen.tables[0 if buffers else -1]
    for table in seen.tables[1:] if buffers else ():
        expected = (1 - MOMENTUM) * expected + MOMENTUM * table
    torch.testing.assert_close(state[OIM + 'table'], expected)
    assert expected.any(dim=1).all()
    # a position has no average: the first step's
    head = OIM + 'queue_head'
    assert state[head] == seen.heads[0 if buffers else -1]
    assert file['ema_state_dict'][f'module.{head}'] == seen.heads[-1]
    assert seen.heads[0] != seen.heads[-1]
    assert bytes(state[OIM + '_extra_state'].tolist()) == b'a\nb\nc'
    assert read_table(path).names == ('a', 'b', 'c')

    frozen = dict(type='FrozenLUTHook', teacher=str(path))
    run(tmp_path / 'student', frozen, names=('c', 'a', 'b'))
    taught = load(tmp_path / 'student/epoch_2.pth')['state_dict']
    rows = F.normalize(expected, dim=1)[[2, 0, 1]]
    torch.testing.assert_close(taught[OIM + 'table'], rows)


@pytest.mark.slow
@MODES
def test_a_resumed_run_equals_the_unbroken_one(buffers, tmp_path):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    run(whole, ema(buffers))
    with pytest.raises(toy.Stop):
        run(broken, ema(buffers), dict(type='StopHook', epoch=1))
    run(broken, ema(buffers), resume=True)

    first, last = load(broken / 'epoch_1.pth'), load(broken / 'epoch_2.pth')
    expected = load(whole / 'epoch_2.pth')
    for entry in ('state_dict', 'ema_state_dict', 'optimizer'):
        assert same(last[entry], expected[entry]), entry
        assert not same(first[entry], last[entry]), entry
    # what was trained and its average are not the same
    live = expected['ema_state_dict'][f'module.{OIM}table']
    assert torch.equal(live, expected['state_dict'][OIM + 'table']) != buffers
