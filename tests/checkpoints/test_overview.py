import re

import torch
from torch import nn

from mmps.checkpoints import compare_keys
from mmps.checkpoints.overview import overview


def make_model(width=3, gates=False):
    backbone = nn.ModuleDict(
        {'conv': nn.Linear(2, width), 'norm': nn.BatchNorm1d(width)}
    )
    if gates:
        gates = nn.ModuleList([nn.Linear(width, 1), nn.BatchNorm1d(1)])
        backbone['gates'] = gates
    return nn.ModuleDict({'backbone': backbone, 'head': nn.Linear(width, 1)})


def told(model, state):
    return overview(compare_keys(model, state)).splitlines()


def counted(lines):
    """Kind -> number of keys, from the lines."""
    lines = ''.join(lines).replace('    ', ' ').split('  ')
    return {
        kind: sum(map(int, re.findall(r'\((\d+)', modules)))
        for kind, modules in (line.split(': ', 1) for line in lines[1:])
    }


def test_what_is_new_and_what_is_not():
    state = make_model().state_dict()
    assert told(make_model(gates=True), state) == [
        '9 of 16 keys of the model come from the checkpoint',
        '  from the checkpoint: backbone (7 of 14), head (2)',
        '  new: backbone.gates (7)',
    ]
    assert told(make_model(), make_model(gates=True).state_dict()) == [
        '9 of 9 keys of the model come from the checkpoint',
        '  from the checkpoint: backbone (7), head (2)',
        '  not used: backbone.gates (7)',
    ]


def test_other_shapes_are_new_and_shown():
    state = make_model(4).state_dict()
    state['scale'] = torch.ones(1)
    lines = told(make_model(3), state)
    assert lines[:6] == [
        '2 of 9 keys of the model come from the checkpoint',
        '  from the checkpoint: backbone (1 of 7), head (1 of 2)',
        '  new, of another shape in the checkpoint: backbone.conv (2),',
        '    backbone.norm (4), head (1)',
        '  not used: scale (1)',
        '  shape       backbone.conv.bias: model [3], checkpoint [4]',
    ]
    assert len(lines) == 5 + 7


def test_step_counters_that_an_old_checkpoint_lacks_are_told_apart():
    state = make_model().state_dict()
    del state['backbone.norm.num_batches_tracked']
    assert told(make_model(gates=True), state)[1:] == [
        '  from the checkpoint: backbone (6 of 14), head (2)',
        '  new: backbone.gates (7)',
        '  new, counters of steps: backbone.norm (1)',
    ]


def test_what_only_training_needs_is_told_apart():
    state = make_model().state_dict()
    model = make_model(gates=True)
    model['backbone']['gates'].training_only = True
    assert told(model, state) == [
        '9 of 16 keys of the model come from the checkpoint',
        '  from the checkpoint: backbone (7 of 14), head (2)',
        '  new, as training starts: backbone.gates (7)',
    ]
    # there is nothing to tell where the checkpoint has it
    assert told(model, model.state_dict()) == [
        '16 of 16 keys of the model come from the checkpoint',
        '  from the checkpoint: backbone (14), head (2)',
    ]


def test_nothing_in_common():
    state = {'mean': torch.ones(1), 'std': torch.ones(1)}
    assert told(make_model(), state) == [
        '0 of 9 keys of the model come from the checkpoint',
        '  new: backbone.conv (2), backbone.norm (5), head (2)',
        '  not used: mean (1), std (1)',
    ]


def test_many_modules_are_summed_up_and_every_key_is_counted():
    model = nn.ModuleDict({f'part{i:02}': nn.Linear(1, 1) for i in range(30)})
    state = {f'other{i:03}': torch.ones(1) for i in range(100)}
    lines = told(model, state)
    text = ' '.join(line.strip() for line in lines)
    assert 'part19 (2), 10 more modules (20) not used: other000 (1)' in text
    assert text.endswith('other019 (1), 80 more modules (80)')
    assert max(map(len, lines)) <= 79
    assert len(lines) < 20
    assert counted(lines) == {'new': 60, 'not used': 100}
    whole = told(model, {**state, **model.state_dict()})
    assert counted(whole) == {'from the checkpoint': 60, 'not used': 100}


def test_a_number_stays_beside_its_module():
    model = nn.ModuleDict(
        {
            f'module_{"x" * i}': nn.ModuleList([nn.Linear(1, 1) for _ in 'ab'])
            for i in range(20)
        }
    )
    state = {k: v for k, v in model.state_dict().items() if '.0.' in k}
    lines = told(model, state)
    assert sum(line.count('(2 of 4)') for line in lines) == 20
    assert max(map(len, lines)) <= 79
