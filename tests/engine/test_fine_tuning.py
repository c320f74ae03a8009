"""From one data set to another: what a lookup table does in ``load_from``."""

import copy
import os
from pathlib import Path

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmps.checkpoints import CheckpointError
from mmps.engine import prepare_launcher
from mmps.models import OIMLoss
from tests.distillation import networks
from tests.distillation.runs import load, run_of, same
from tests.ranks import run_ranks

from . import toy

LOSS = 'loss_oim.'
#: Copies names and tables, as early as a user may ask for it.
EMA = dict(type='EMAHook', update_buffers=True, priority='HIGH')


@HOOKS.register_module()
class StartHook(Hook):
    """Keeps the weights that training starts with."""

    priority = 'LOWEST'

    def before_train(self, runner):
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        self.state = copy.deepcopy(dict(model.state_dict()))


def options(names, queue_size=5, **changes):
    """Of the toy, around a student of these identities; one epoch."""
    return {
        'model': dict(
            type='Student', num_ids=len(names), queue_size=queue_size
        ),
        'train_dataloader.dataset.names': list(names),
        'train_cfg.max_epochs': 1,
        'default_hooks.identity_names': dict(type='IdentityNamesHook'),
        'custom_hooks': [dict(type='StartHook'), EMA],
        'log_level': 'INFO',
        **changes,
    }


def begun(folder, path, names, **changes):
    """Train from a file; what that started with, and what was logged."""
    cfg = options(names, load_from=str(path), **changes)
    return start_of(toy.train(folder, **cfg)), log_of(folder, path)


def start_of(runner):
    (hook,) = [h for h in runner.hooks if isinstance(h, StartHook)]
    return hook.state


def log_of(folder, path):
    """Lines of the log that say what of a file is not used as it is."""
    (log,) = Path(folder).glob('*/*.log')
    marker = f'INFO - {path}: '
    return [
        line.partition(marker)[2]
        for line in log.read_text().splitlines()
        if marker in line
    ]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run on the people a, b and c."""
    folder = tmp_path_factory.mktemp('trained')
    toy.train(folder, **options('abc', **{'train_cfg.max_epochs': 2}))
    state = load(folder / 'epoch_2.pth')['state_dict']
    assert all(state[LOSS + key].any() for key in ('table', 'queue'))
    return folder / 'epoch_2.pth'


def rewritten(trained, tmp_path, change):
    content = torch.load(trained)
    change(content['state_dict'])
    path = tmp_path / 'changed.pth'
    torch.save(content, path)
    return path


def assert_network_is_of(path, state):
    for key, value in load(path)['state_dict'].items():
        if not key.startswith(LOSS):
            assert torch.equal(state[key], value), key


def assert_fresh(names, state, prefix=LOSS):
    for key in ('table', 'queue', 'queue_head'):
        assert not state[prefix + key].any(), key
    assert len(state[prefix + 'table']) == len(names)
    extra = bytes(state[prefix + '_extra_state'].tolist())
    assert extra.decode().split('\n') == list(names)


@pytest.mark.parametrize(
    ('names', 'common'), [('xy', 0), ('ab', 2), ('wxyz', 0), ('abd', 2)]
)
def test_a_table_of_other_people_starts_fresh(
    names, common, trained, tmp_path
):
    state, log = begun(tmp_path, trained, names)
    assert_network_is_of(trained, state)
    assert_fresh(names, state)
    assert log == [
        'loss_oim starts fresh: the file has other identities (3 there, '
        f'{len(names)} here, {common} in both)'
    ]
    last = load(tmp_path / 'epoch_1.pth')['state_dict']
    assert last[LOSS + 'table'].any(dim=1).all()


def test_a_table_without_names_starts_fresh(trained, tmp_path):
    def leave_out(state):
        state[LOSS + '_extra_state'] = torch.zeros(0, dtype=torch.uint8)

    path = rewritten(trained, tmp_path, leave_out)
    state, log = begun(tmp_path / 'run', path, 'abc')
    assert_network_is_of(path, state)
    assert_fresh('abc', state)
    assert log == [
        'loss_oim starts fresh: the file does not name its identities (3 '
        'there, 3 here)'
    ]


def test_a_queue_of_another_length_starts_fresh(trained, tmp_path):
    state, log = begun(tmp_path, trained, 'abc', queue_size=4)
    assert_fresh('abc', state)
    assert log == [
        'loss_oim starts fresh: the file has the same identities, but its '
        'queue is [5, 6] there and [4, 6] here'
    ]


def test_a_table_of_the_same_people_is_kept(trained, tmp_path):
    state, log = begun(tmp_path, trained, 'abc')
    assert same(state, dict(load(trained)['state_dict']))
    assert log == []


def test_rows_of_the_same_people_follow_their_names(trained, tmp_path):
    # a cycle of three: its inverse is another order
    state, log = begun(tmp_path, trained, 'bca')
    expected = load(trained)['state_dict']
    rows = expected[LOSS + 'table']
    assert torch.equal(state.pop(LOSS + 'table'), rows[[1, 2, 0]])
    text = state.pop(LOSS + '_extra_state')
    assert bytes(text.tolist()) == b'b\nc\na'
    assert all(torch.equal(state[key], expected[key]) for key in state)
    assert log == [
        'loss_oim keeps its table: the same identities, 3 of 3 rows moved to '
        'the order of the data set'
    ]


def test_a_file_of_a_wrapped_network_is_no_other(trained, tmp_path):
    def wrap(state):
        for key in list(state):
            state[f'module.{key}'] = state.pop(key)

    path = rewritten(trained, tmp_path, wrap)
    expected = begun(tmp_path / 'plain', trained, 'bca')
    state, log = begun(tmp_path / 'wrapped', path, 'bca')
    assert same(state, expected[0])
    assert log == expected[1]


def test_published_weights_have_no_table(trained, tmp_path):
    def publish(state):
        for key in [key for key in state if key.startswith(LOSS)]:
            del state[key]

    path = rewritten(trained, tmp_path, publish)
    state, log = begun(tmp_path / 'run', path, 'wxyz')
    assert_network_is_of(path, state)
    assert_fresh('wxyz', state)
    assert log == [
        'published weights; 4 keys that only training needs start fresh'
    ]


def test_a_part_of_a_table_is_a_damaged_file(trained, tmp_path):
    path = rewritten(
        trained, tmp_path, lambda state: state.pop(LOSS + 'queue')
    )
    with pytest.raises(CheckpointError, match=r'missing +loss_oim\.queue'):
        begun(tmp_path / 'run', path, 'xyz')


@pytest.mark.parametrize('names', ['xy', 'abd', 'cba'])
def test_other_people_are_never_resumed(names, trained, tmp_path):
    changes = {'resume': True, 'train_cfg.max_epochs': 3}
    with pytest.raises((CheckpointError, ValueError)) as caught:
        begun(tmp_path, trained, names, **changes)
    assert 'load_from' in str(caught.value)
    assert 'allow' not in str(caught.value)


@pytest.mark.slow
def test_two_processes_start_as_one(trained, tmp_path):
    ranks = run_ranks(2, tmp_path, start_on_rank, tmp_path / 'run', trained)
    expected, log = begun(tmp_path / 'one', trained, 'wxyz')
    for state in ranks:
        assert same(state, expected)
    assert log_of(tmp_path / 'run', trained) == log


def start_on_rank(rank, folder, path):
    cfg = toy.make_config(
        folder,
        launcher='pytorch',
        experiment_name='ranks',
        **options('wxyz', load_from=str(path)),
    )
    assert is_main_process() == (rank == 0)
    os.environ['LOCAL_RANK'] = str(rank)
    prepare_launcher(cfg)
    return start_of(toy.run(cfg))


@pytest.mark.slow
@pytest.mark.parametrize('names', ['wxyz', 'xyz'])
def test_a_network_is_fine_tuned_to_other_people(names, tmp_path):
    small = networks.network_config(oim=True)
    source = tmp_path / 'source'
    toy.run(run_of(source, small, 'abc'))
    path = source / 'epoch_2.pth'
    small.roi_head.oim_head.loss_oim.num_ids = len(names)
    cfg = run_of(tmp_path, small, names, load_from=str(path))
    cfg.custom_hooks = [dict(type='StartHook'), EMA]
    runner = toy.run(cfg)
    state, prefix = start_of(runner), 'roi_head.oim_head.loss_oim.'
    assert_fresh(names, state, prefix)
    for key, value in load(path)['state_dict'].items():
        assert key.startswith(prefix) or torch.equal(state[key], value), key
    (loss,) = [m for m in runner.model.modules() if isinstance(m, OIMLoss)]
    assert loss.table.any(dim=1).all()
