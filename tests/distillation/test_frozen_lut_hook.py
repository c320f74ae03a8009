from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODEL_WRAPPERS

from mmps.checkpoints import CheckpointError
from mmps.distillation import FrozenLUTHook, IdentityTable, write_table
from mmps.models import OIMLoss
from mmps.structures import BACKGROUND
from tests.distillation.networks import Student
from tests.engine import toy
from tests.models import test_qeeps as qeeps
from tests.zoo import small as zoo

NAMES = ['p7', 'p3', 'p9', 'p1']
DIM = 6


def rows_of(seed=0):
    """Rows of length 0.5 to 0.9, so that normalising shows."""
    generator = torch.Generator().manual_seed(seed)
    rows = F.normalize(torch.randn(4, DIM, generator=generator), dim=1)
    return rows * torch.linspace(0.5, 0.9, 4)[:, None]


@pytest.fixture
def teacher(tmp_path):
    """A table as weights hold it: rows of any length, with names."""
    return save(tmp_path / 'teacher.pth', rows_of(), NAMES)


def save(path, rows, names):
    loss = OIMLoss(num_ids=len(rows), feat_dim=DIM)
    loss.table.copy_(rows)
    if names:
        loss.name_identities(names)
    state = {f'loss_oim.{k}': v for k, v in loss.state_dict().items()}
    torch.save(dict(state_dict=state), path)
    return str(path)


@pytest.fixture
def said(monkeypatch):
    """What the hook logs."""
    lines = []
    monkeypatch.setattr(
        'mmps.distillation.frozen_lut_hook.print_log',
        lambda message, **kwargs: lines.append(message),
    )
    return lines


@MODEL_WRAPPERS.register_module()
class Wrapper(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def fake_runner(model=None, names=NAMES, iteration=0):
    metainfo = {} if names is None else dict(identity_names=names)
    dataset = SimpleNamespace(metainfo=metainfo)
    return SimpleNamespace(
        model=Student() if model is None else model,
        iter=iteration,
        train_dataloader=SimpleNamespace(dataset=dataset),
    )


def started(teacher, runner=None, **options):
    """A hook that has frozen the table of a runner."""
    runner = fake_runner() if runner is None else runner
    hook = FrozenLUTHook(teacher, **options)
    hook.before_train(runner)
    return hook, runner


def step(runner, seed):
    """One training batch, with gradients."""
    generator = torch.Generator().manual_seed(seed)
    loss = runner.model.loss_oim
    x = torch.randn(12, DIM, generator=generator, requires_grad=True)
    ids = torch.randint(BACKGROUND, 4, (12,), generator=generator)
    loss(F.normalize(x, dim=1), ids).backward()


def test_the_table_is_normalised_and_frozen(teacher):
    _, runner = started(teacher)
    expected = rows_of() / rows_of().norm(dim=1, keepdim=True)
    loss = runner.model.loss_oim
    torch.testing.assert_close(loss.table, expected, rtol=0, atol=1e-6)
    assert loss.frozen
    assert not loss.queue.any()
    assert loss.queue_head == 0


def test_the_teacher_may_be_a_released_table(tmp_path, monkeypatch, said):
    zoo.private_cache(monkeypatch, tmp_path)
    table = IdentityTable(rows_of(), tuple(NAMES), 'x', 'drawn')
    write_table(table, tmp_path / 'weights/t.pth')
    content = (tmp_path / 'weights/t.pth').read_bytes()
    keys = zoo.keys_of('weights/t.pth', content, 'File')
    zoo.write_zoo(tmp_path, zoo.entry('t', Table=keys))
    zoo.make_default(monkeypatch, tmp_path)
    _, runner = started('zoo://t')
    loss = runner.model.loss_oim
    torch.testing.assert_close(loss.table, table.normalised())
    assert loss.frozen
    assert '4 identities x 6 from zoo://t (drawn)' in said[0]


def test_rows_follow_the_identities_of_the_data_set(teacher, said):
    # a cycle of three: its inverse is another order
    names = ['p3', 'p9', 'p7', 'p1']
    _, same = started(teacher)
    _, other = started(teacher, fake_runner(names=names))
    by_name = dict(zip(NAMES, same.model.loss_oim.table, strict=True))
    for name, row in zip(names, other.model.loss_oim.table, strict=True):
        assert torch.equal(row, by_name[name])
    assert '3 rows moved' in said[-1]


def test_it_says_what_it_took(teacher, said):
    started(teacher)
    assert (
        f'FrozenLUTHook: 4 identities x 6 from {teacher} '
        '(lookup table of teacher.pth); norms 0.500 to 0.900, now 1; '
        'names agree, 0 rows moved to their order; the table is frozen'
    ) in said


def test_a_file_of_the_tool_gives_the_same_table(teacher, tmp_path):
    table = IdentityTable(rows_of(), tuple(NAMES), 'x', 'x')
    write_table(table, tmp_path / 'lut.pth')
    _, weights = started(teacher)
    _, file = started(str(tmp_path / 'lut.pth'))
    torch.testing.assert_close(
        file.model.loss_oim.table, weights.model.loss_oim.table
    )


def test_a_wrapped_student_is_frozen_too(teacher):
    model = Student()
    hook, runner = started(teacher, fake_runner(Wrapper(model)))
    assert model.loss_oim.frozen
    assert model.loss_oim.table.any()
    hook.after_train_iter(runner, 0)


@pytest.mark.parametrize('names', [NAMES[:3] + ['q1'], NAMES[:3]])
def test_other_people_are_refused(teacher, names):
    with pytest.raises(CheckpointError, match=r'not in the table \('):
        started(teacher, fake_runner(names=names))


def test_a_refused_table_leaves_the_student_as_it_was(teacher):
    runner = fake_runner(Student(num_ids=5), names=[*NAMES, 'q1'])
    with pytest.raises(CheckpointError, match='4 identities, the student 5'):
        started(teacher, runner)
    assert not runner.model.loss_oim.table.any()
    assert not runner.model.loss_oim.frozen


@pytest.mark.parametrize('side', ['data set', 'table'])
def test_without_names_the_order_must_be_trusted(side, tmp_path, said):
    ours, theirs = (None, NAMES) if side == 'table' else (NAMES, None)
    path = save(tmp_path / 'x.pth', rows_of(), ours)
    with pytest.raises(CheckpointError, match=f'the {side} has no identity'):
        started(path, fake_runner(names=theirs))
    _, runner = started(path, fake_runner(names=theirs), trust_order=True)
    expected = F.normalize(rows_of(), dim=1)
    assert torch.equal(runner.model.loss_oim.table, expected)
    assert 'no names, their order is trusted' in said[-1]


def test_rows_that_were_never_seen_are_refused(tmp_path):
    rows = rows_of()
    rows[1] = 0
    path = save(tmp_path / 'x.pth', rows, NAMES)
    with pytest.raises(CheckpointError, match=r'1 of 4 .* identities p3'):
        started(path)


def test_a_student_without_a_table_is_refused(teacher):
    runner = fake_runner(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match='a Linear without OIMLoss'):
        started(teacher, runner)


def test_a_student_that_must_update_its_table_is_refused(teacher):
    runner = fake_runner(Student(update_table=True))
    with pytest.raises(ValueError, match='update_table=True'):
        started(teacher, runner)


def test_a_table_that_is_watched_for_an_epoch_stays(teacher):
    hook, runner = started(teacher)
    loss = runner.model.loss_oim
    before = loss.table.clone()
    for seed in range(8):
        step(runner, seed)
        hook.after_train_iter(runner, seed, data_batch=None, outputs=None)
    hook.after_train_epoch(runner)
    hook.before_save_checkpoint(runner, {})
    assert torch.equal(loss.table, before)
    assert loss.queue.any()


def write_in_place(loss):
    loss.table[2, 0] += 1e-3


def replace_by_another(loss):
    other = F.normalize(torch.ones_like(loss.table), dim=1)
    while other._version < loss.table._version:
        other.mul_(1)  # as often written to
    assert other._version == loss.table._version
    loss.table = other


def replace_by_a_copy(loss):
    loss.table = loss.table.clone()


def unfreeze(loss):
    loss.update_table = None
    loss(F.normalize(torch.ones(1, DIM), dim=1), torch.tensor([2]))


@pytest.mark.parametrize(
    ('change', 'count'),
    [
        (write_in_place, 1),
        (replace_by_another, 4),
        (replace_by_a_copy, 0),
        (unfreeze, 1),
    ],
)
def test_training_stops_in_the_iteration_that_changes_it(
    change, count, teacher
):
    hook, runner = started(teacher)
    step(runner, 0)
    hook.after_train_iter(runner, 0)
    change(runner.model.loss_oim)
    with pytest.raises(RuntimeError, match=rf'\({count} of 4 rows\)'):
        hook.after_train_iter(runner, 1)


def write_unseen(loss):
    loss.table.data[1:3, 0] += 1e-3


@pytest.mark.parametrize(
    ('moment', 'arguments'),
    [('after_train_epoch', ()), ('before_save_checkpoint', ({},))],
)
def test_what_leaves_no_trace_is_found_before_it_is_saved(
    moment, arguments, teacher
):
    hook, runner = started(teacher)
    step(runner, 0)
    write_unseen(runner.model.loss_oim)
    hook.after_train_iter(runner, 0)
    with pytest.raises(RuntimeError, match=r'\(2 of 4 rows\)'):
        getattr(hook, moment)(runner, *arguments)


def test_a_table_that_is_freed_stops_training_at_once(teacher):
    hook, runner = started(teacher)
    step(runner, 0)
    runner.model.loss_oim.update_table = None
    with pytest.raises(RuntimeError, match=r'\(0 of 4 rows\).*unfrozen'):
        hook.after_train_iter(runner, 0)


def test_writing_the_same_values_again_is_no_change(teacher):
    hook, runner = started(teacher)
    table = runner.model.loss_oim.table
    for _ in range(2):  # as a broadcast of buffers does
        table.copy_(table.clone())
        hook.after_train_iter(runner, 0)
    hook.after_train_epoch(runner)


def test_every_table_of_a_student_is_frozen_and_watched(teacher):
    model = torch.nn.ModuleList([Student(), Student()])
    hook, runner = started(teacher, fake_runner(model))
    assert torch.equal(model[0].loss_oim.table, model[1].loss_oim.table)
    hook.after_train_epoch(runner)
    write_in_place(model[1].loss_oim)
    with pytest.raises(RuntimeError, match='1 of 4 rows'):
        hook.after_train_iter(runner, 0)


def test_a_query_guided_student_learns_against_the_table(teacher):
    model = qeeps.make(
        **{
            'roi_head.oim_head.feat_dim': DIM,
            'roi_head.oim_head.loss_oim.num_ids': 4,
            'roi_head.sim_head.feat_dim': DIM,
        }
    )
    hook, runner = started(teacher, fake_runner(model))
    losses = model.loss(*qeeps.pairs(model))
    assert losses['loss_oim'] > 0
    assert losses['loss_oim_query'] > 0
    hook.after_train_iter(runner, 0)
    hook.after_train_epoch(runner)
    loss = model.roi_head.oim_head.loss_oim
    expected = F.normalize(rows_of(), dim=1)
    torch.testing.assert_close(loss.table, expected, rtol=0, atol=1e-6)
    assert loss.queue.any()


def resumed_with(table):
    """A runner that has read a checkpoint with this table."""
    runner = fake_runner(iteration=3)
    runner.model.loss_oim.table.copy_(table)
    return runner


def test_a_resumed_run_goes_on_with_the_table_of_its_checkpoint(teacher):
    _, first = started(teacher)
    saved = first.model.loss_oim.table.clone()
    saved[0, 0] += 1e-7  # normalised on another machine
    hook, runner = started(teacher, resumed_with(saved))
    assert torch.equal(runner.model.loss_oim.table, saved)
    assert runner.model.loss_oim.frozen
    step(runner, 0)
    hook.after_train_iter(runner, 0)
    hook.after_train_epoch(runner)


def test_a_run_that_was_started_with_another_table_is_not_resumed(teacher):
    _, first = started(teacher)
    saved = first.model.loss_oim.table.clone()
    saved[1:3, 0] += torch.tensor([1e-4, -3e-4])
    runner = resumed_with(saved)
    match = r'not the table that .* 2 of 4 rows differ, by up to 0\.0003'
    with pytest.raises(CheckpointError, match=match):
        started(teacher, runner)
    assert not runner.model.loss_oim.frozen


def test_a_run_without_the_hook_is_not_resumed_with_it(teacher):
    with pytest.raises(CheckpointError, match='4 of 4 rows differ'):
        started(teacher, resumed_with(torch.zeros(4, DIM)))


def test_a_new_run_from_trained_weights_takes_the_table_of_the_teacher(
    teacher,
):
    _, first = started(teacher)
    runner = fake_runner()
    runner.model.loss_oim.table.copy_(rows_of(seed=9))
    started(teacher, runner)
    expected = first.model.loss_oim.table
    assert torch.equal(runner.model.loss_oim.table, expected)


class TestRuns:
    """Of mmengine's runner: three epochs of three steps."""

    @pytest.fixture
    def options(self, tmp_path):
        # the toy's data set has its people in another order
        path = save(tmp_path / 'toy.pth', rows_of()[:2], ['b', 'a'])
        return dict(
            model=dict(type='Student', num_ids=2),
            custom_hooks=[
                dict(type='IdentityNamesHook'),
                dict(type='FrozenLUTHook', teacher=path),
            ],
        )

    def state(self, path):
        checkpoint = torch.load(path, weights_only=True)
        state = checkpoint['state_dict']
        return {k.removeprefix('loss_oim.'): v for k, v in state.items()}

    def test_every_checkpoint_has_the_table_of_the_teacher(
        self, options, tmp_path
    ):
        toy.train(tmp_path / 'run', **options)
        expected = F.normalize(rows_of()[:2], dim=1).flip(0)
        states = [
            self.state(tmp_path / f'run/epoch_{epoch}.pth') for epoch in (2, 3)
        ]
        for state in states:
            assert torch.equal(state['table'], expected)
            assert bytes(state['_extra_state'].tolist()) == b'a\nb'
            assert state['queue'].any()
        weights = [state['backbone.weight'] for state in states]
        assert not torch.equal(*weights)

    def test_a_resumed_run_equals_the_unbroken_one(self, options, tmp_path):
        unbroken = toy.train(tmp_path / 'unbroken', **options)
        stopping = [*options['custom_hooks'], dict(type='StopHook', epoch=1)]
        work = tmp_path / 'broken'
        with pytest.raises(toy.Stop):
            toy.train(work, **options | dict(custom_hooks=stopping))
        assert [path.name for path in work.glob('*.pth')] == ['epoch_1.pth']
        resumed = toy.train(work, **options, resume=True)
        assert toy.fingerprint(resumed) == toy.fingerprint(unbroken)

    def test_the_teacher_wins_over_the_table_of_load_from(
        self, options, tmp_path
    ):
        start = Student(num_ids=2)
        start.loss_oim.table.copy_(F.normalize(rows_of(seed=9)[:2], dim=1))
        start.loss_oim.name_identities(['a', 'b'])
        path = tmp_path / 'start.pth'
        torch.save(dict(state_dict=start.state_dict()), path)
        toy.train(
            tmp_path / 'run',
            **options,
            load_from=str(path),
            train_cfg=dict(max_epochs=1),
            optim_wrapper=dict(optimizer=dict(lr=0.0)),
        )
        state = self.state(tmp_path / 'run/epoch_1.pth')
        # the network is that of load_from, its table is not
        assert torch.equal(state['backbone.weight'], start.backbone.weight)
        expected = F.normalize(rows_of()[:2], dim=1).flip(0)
        assert torch.equal(state['table'], expected)

    def test_another_teacher_cannot_go_on(self, options, tmp_path):
        toy.train(tmp_path, **options, train_cfg=dict(max_epochs=1))
        other = save(tmp_path / 'x.pth', rows_of(seed=5)[:2], ['a', 'b'])
        options['custom_hooks'][1]['teacher'] = other
        with pytest.raises(CheckpointError, match='2 of 2 rows differ'):
            toy.train(tmp_path, **options, resume=True)

    def test_a_table_that_changes_is_not_saved(
        self, options, tmp_path, monkeypatch
    ):
        forward = OIMLoss.forward

        def learn(self, embeddings, ids):
            self.update_table = None
            return forward(self, embeddings, ids)

        monkeypatch.setattr(OIMLoss, 'forward', learn)
        with pytest.raises(RuntimeError, match='lookup table has changed'):
            toy.train(tmp_path / 'run', **options)
        assert not list((tmp_path / 'run').glob('*.pth'))
