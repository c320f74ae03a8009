import pytest
import torch
from torch import nn

from mmps.checkpoints import CheckpointError, check_state_dict, compare_keys
from mmps.checkpoints.fit import training_only
from mmps.models import OIMLoss


def make_model(width=3):
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


def test_the_same_architecture_fits():
    report = check_state_dict(make_model(), make_model().state_dict(), 'x')
    assert report.fits
    assert set(report.matched) == set(make_model().state_dict())
    assert report.table().startswith('7 keys match, 0 are missing')


def test_every_kind_of_difference_is_found():
    theirs = make_model().state_dict()
    del theirs['0.bias']
    theirs['0.weight'] = torch.zeros(4, 2)
    theirs['head.weight'] = torch.zeros(1)
    report = compare_keys(make_model(), theirs)
    assert report.missing == ('0.bias',)
    assert report.unexpected == ('head.weight',)
    assert report.differing == (('0.weight', (3, 2), (4, 2)),)
    assert len(report.matched) == 5
    assert report.problem_keys() == ['0.bias', 'head.weight', '0.weight']
    assert '  shape       0.weight: model [3, 2], checkpoint [4, 2]' in (
        report.table().splitlines()
    )


def test_the_error_counts_all_and_shows_ten():
    theirs = {f'k{i:02}': torch.zeros(1) for i in range(25)}
    with pytest.raises(CheckpointError) as caught:
        check_state_dict(make_model(), theirs, 'r50.pth')
    message = str(caught.value)
    assert message.startswith('r50.pth: does not fit this Sequential: 0 keys')
    assert '6 are missing, 25 are unexpected, 0 differ in shape' in message
    assert 'k09' in message
    assert 'k10' not in message
    assert '... 15 more' in message


@pytest.mark.parametrize('wanted', [2, 4])
def test_another_number_of_identities_is_refused(wanted):
    class Table(nn.Module):
        def __init__(self, rows):
            super().__init__()
            self.register_buffer('table', torch.zeros(rows, 5))

    with pytest.raises(CheckpointError, match=r'table: model \[3, 5\]'):
        check_state_dict(Table(3), Table(wanted).state_dict(), 'x')


def test_extra_state_has_no_shape():
    class Named(nn.Module):
        def __init__(self, names):
            super().__init__()
            self.names = names

        def get_extra_state(self):
            return torch.tensor(list(self.names.encode()))

        def set_extra_state(self, state):
            self.names = bytes(state.tolist()).decode()

    model = nn.ModuleDict({'oim': Named('')})
    theirs = nn.ModuleDict({'oim': Named('p1 p2')}).state_dict()
    assert check_state_dict(model, theirs, 'x').fits
    with pytest.raises(CheckpointError, match=r'missing     oim\._extra'):
        check_state_dict(model, {}, 'x')


def test_wrapped_and_old_checkpoints_fit():
    theirs = {f'module.{k}': v for k, v in make_model().state_dict().items()}
    del theirs['module.1.num_batches_tracked']
    assert check_state_dict(make_model(), theirs, 'x').fits


class Memory(nn.Module):
    """Stands for a module that only training needs."""

    training_only = True

    def __init__(self):
        super().__init__()
        self.register_buffer('table', torch.zeros(2))
        self.register_buffer('queue', torch.zeros(3))


def with_memory(training_only=True):
    memory = Memory()
    memory.training_only = training_only
    head = nn.ModuleDict({'oim': memory, 'oim_fc': nn.Linear(2, 1)})
    return nn.ModuleDict({'head': head})


MEMORY = ('head.oim.table', 'head.oim.queue')


def test_what_only_training_needs_may_be_left_out_as_a_whole():
    model = with_memory()
    assert training_only(model) == ('head.oim.',)
    theirs = model.state_dict()
    for key in MEMORY:
        del theirs[key]
    report = check_state_dict(model, theirs, 'x')
    assert report.fits
    assert report.left_out == MEMORY
    assert report.missing == ()
    assert report.matched == ('head.oim_fc.bias', 'head.oim_fc.weight')
    assert compare_keys(model, model.state_dict()).left_out == ()


def test_a_part_of_it_is_missing():
    model = with_memory()
    theirs = model.state_dict()
    del theirs[MEMORY[1]]
    report = compare_keys(model, theirs)
    assert (report.missing, report.left_out) == ((MEMORY[1],), ())
    with pytest.raises(CheckpointError, match=r'missing     head\.oim\.queue'):
        check_state_dict(model, theirs, 'x')


def test_its_neighbours_are_no_part_of_it():
    report = compare_keys(with_memory(), {})
    assert report.missing == ('head.oim_fc.weight', 'head.oim_fc.bias')
    assert report.left_out == MEMORY


def test_wrapped_weights_have_it_or_not():
    model = with_memory()
    theirs = {f'module.{k}': v for k, v in model.state_dict().items()}
    assert compare_keys(model, theirs).left_out == ()
    for key in MEMORY:
        del theirs[f'module.{key}']
    assert check_state_dict(model, theirs, 'x').left_out == MEMORY


def test_other_modules_may_not_be_left_out():
    model = with_memory(training_only=False)
    theirs = model.state_dict()
    for key in MEMORY:
        del theirs[key]
    assert training_only(model) == ()
    assert compare_keys(model, theirs).missing == MEMORY


def test_table_queue_and_names_of_oim_are_for_training():
    model = nn.ModuleDict({'loss_oim': OIMLoss(num_ids=3, feat_dim=2)})
    report = check_state_dict(model, {}, 'x')
    assert set(report.left_out) == set(model.state_dict())
    assert report.left_out


def test_allowed_prefixes_are_reported_only():
    theirs = make_model(4).state_dict()
    allow = ('0.', '1.')
    report = check_state_dict(make_model(), theirs, 'x', allow=allow)
    assert len(report.differing) == 6
    with pytest.raises(CheckpointError, match=r'for example .1'):
        check_state_dict(make_model(), theirs, 'x', allow=('0.',))


def test_the_error_shows_what_is_not_allowed_alone():
    theirs = make_model(4).state_dict()
    theirs['head.weight'] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        check_state_dict(make_model(), theirs, 'x', allow=('1.', 'head.'))
    assert str(caught.value).splitlines()[:4] == [
        'x: does not fit this Sequential: 1 keys match, 0 are missing, 0 are '
        'unexpected, 2 differ in shape',
        '  shape       0.bias: model [3], checkpoint [4]',
        '  shape       0.weight: model [3, 2], checkpoint [4, 2]',
        '  and 5 keys that may differ (allow)',
    ]
    assert "for example '0'" in str(caught.value)


def test_step_counters_are_no_missing_keys_but_are_told():
    theirs = make_model().state_dict()
    del theirs['1.num_batches_tracked']
    report = compare_keys(make_model(), theirs)
    assert report.fits
    assert report.missing == ()
    assert report.counters == ('1.num_batches_tracked',)


def test_a_prefix_takes_every_kind_of_problem_out():
    theirs = make_model(4).state_dict()
    theirs['10.weight'] = theirs.pop('0.bias')
    report = compare_keys(make_model(), theirs)
    assert report.without(()) == report
    rest = report.without(('1.', '0.w'))
    assert (rest.missing, rest.differing) == (('0.bias',), ())
    assert rest.unexpected == ('10.weight',)
    assert rest.matched == report.matched
    assert report.without(('0', '1')).fits


def test_the_model_is_not_touched():
    model = make_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError):
        check_state_dict(model, {'0.bias': torch.ones(3)}, 'x')
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize(
    ('weight', 'kind'),
    [
        (torch.ones(3, 2, dtype=torch.int32), 'int32'),
        (torch.ones(3, 2, dtype=torch.bool), 'bool'),
        (torch.ones(3, 2, dtype=torch.complex64), 'complex64'),
        (torch.full((3, 2), 1e300, dtype=torch.float64), 'float64'),
        ('text', 'str'),
        (7, 'int'),
    ],
)
def test_numbers_of_another_kind_are_refused(weight, kind):
    theirs = {**make_model().state_dict(), '0.weight': weight}
    with pytest.raises(CheckpointError) as caught:
        check_state_dict(make_model(), theirs, 'x', allow=('0.',))
    assert '0 differ in shape, 1 in type' in str(caught.value)
    line = f'  type        0.weight: model float32, checkpoint {kind}'
    assert line in str(caught.value).splitlines()


def test_a_counter_of_floating_point_is_refused():
    theirs = make_model().state_dict()
    theirs['1.num_batches_tracked'] = torch.tensor(1.5)
    with pytest.raises(CheckpointError, match='model int64, checkpoint fl'):
        check_state_dict(make_model(), theirs, 'x')


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float64'])
def test_another_precision_fits(dtype):
    theirs = {
        key: value.to(getattr(torch, dtype))
        if value.is_floating_point()
        else value.int()
        for key, value in make_model().state_dict().items()
    }
    assert check_state_dict(make_model(), theirs, 'x').fits


def test_keys_are_names():
    with pytest.raises(CheckpointError, match='under 3, which is not a name'):
        check_state_dict(make_model(), {3: torch.ones(1)}, 'x')
