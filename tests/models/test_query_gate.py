import numpy as np
import pytest
import torch
from torch import nn

from mmps.models.query_gate import Gate, QuerySqueezeGate, hidden_units

FORMS = pytest.mark.parametrize('form', ['centred', 'paper'])


def draw_weights(gate, seed=0):
    torch.manual_seed(seed)
    for name, value in gate.state_dict().items():
        if name == 'norm.var':
            nn.init.uniform_(value, 0.5, 1.5)
        elif name != 'norm.steps':
            nn.init.normal_(value, std=0.3 if name == 'norm.mean' else 1)
    return gate.eval()


def by_hand(gate, z, form):
    """(n, inputs) to (n, outputs), in NumPy, one unit after the other."""
    value = {k: v.double().numpy() for k, v in gate.state_dict().items()}
    rows = []
    for x in z.double().numpy():
        if form == 'centred':
            spread = np.sqrt(value['norm.var'] + 1e-6)
            x = (x - value['norm.mean']) / spread
        hidden = [
            max(0.0, float(w @ x + b))
            for w, b in zip(
                value['fc1.weight'], value['fc1.bias'], strict=True
            )
        ]
        out = value['fc2.weight'] @ np.array(hidden) + value['fc2.bias']
        sigmoid = 1 / (1 + np.exp(-out))
        rows.append(2 * sigmoid if form == 'centred' else sigmoid)
    return torch.tensor(np.array(rows))


@FORMS
def test_value_is_the_formula(form):
    gate = draw_weights(Gate(6, 4, hidden=3, form=form))
    z = torch.randn(5, 6)
    with torch.no_grad():
        got = gate(z)
    assert got.std() > 0.05
    torch.testing.assert_close(
        got.double(), by_hand(gate, z, form), rtol=1e-5, atol=1e-6
    )


@FORMS
def test_gradient(form):
    gate = draw_weights(Gate(6, 4, hidden=3, form=form)).double()
    names = list(dict(gate.named_parameters()))
    z = torch.randn(3, 6, dtype=torch.float64).requires_grad_()

    def call(z, *weights):
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(gate, given, (z,))

    assert torch.autograd.gradcheck(call, (z, *gate.parameters()))


def test_a_fresh_centred_gate_is_one_and_has_a_slope():
    gate = Gate(6, 4, hidden=8)
    value = gate(torch.randn(5, 6))
    assert torch.equal(value, torch.ones(5, 4))
    value[:, 0].sum().backward()
    # d 2 sigmoid(x) / dx = 1/2 at 0, for each of the 5 rows
    assert float(gate.fc2.bias.grad[0]) == pytest.approx(2.5)
    assert gate.fc2.weight.grad[0].any()


def test_a_fresh_gate_of_the_paper_starts_as_pytorch_starts_linear_layers():
    torch.manual_seed(0)
    gate = Gate(64, 32, hidden=8, form='paper')
    torch.manual_seed(0)
    fc1, fc2 = nn.Linear(64, 8), nn.Linear(8, 32)
    for ours, theirs in ((gate.fc1, fc1), (gate.fc2, fc2)):
        assert torch.equal(ours.weight, theirs.weight)
        assert torch.equal(ours.bias, theirs.bias)
    assert not any('norm' in name for name in gate.state_dict())


def test_a_few_steps_on_descriptors_that_hardly_differ_tells_them_apart():
    """What the literal gate cannot: averages are 0.1 +- 0.05."""

    def spread_after_training(form):
        torch.manual_seed(0)
        z = 0.1 + 0.05 * torch.randn(64, 16)
        wanted = 1 + 0.5 * torch.sign(z[:, :1] - 0.1)
        gate = Gate(16, 1, hidden=32, form=form).train()
        optimizer = torch.optim.SGD(gate.parameters(), lr=0.2)
        for _ in range(20):
            optimizer.zero_grad()
            (gate(z) - wanted).square().mean().backward()
            optimizer.step()
        return float(gate.look(z).detach().std())

    assert spread_after_training('centred') > 0.1
    assert spread_after_training('paper') < 0.01


def test_looking_leaves_running_statistics():
    gate = Gate(6, 4, hidden=3).train()
    gate(torch.randn(5, 6))
    before = gate.norm.mean.clone()
    gate.look(torch.randn(5, 6))
    assert torch.equal(gate.norm.mean, before)
    gate(torch.randn(5, 6))
    assert not torch.equal(gate.norm.mean, before)


def test_gates_are_float32_inside_autocast():
    gate = draw_weights(Gate(6, 4, hidden=3))
    z = torch.randn(5, 6)
    with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
        got = gate(z.bfloat16())
    expected = by_hand(gate, z.bfloat16(), 'centred').float()
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('shared', [True, False])
def test_both_images_of_a_pair_make_their_gates(shared):
    gate = draw_weights(QuerySqueezeGate(4, hidden=3, shared=shared))
    query, gallery = torch.randn(2, 5, 4)
    with torch.no_grad():
        got = gate(query, gallery)
    whole = by_hand(gate, torch.cat([query, gallery], dim=1), 'centred')
    expected = (whole, whole) if shared else whole.chunk(2, dim=1)
    for ours, value in zip(got, expected, strict=True):
        assert ours.shape == (5, 4)
        torch.testing.assert_close(ours.double(), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ('channels', 'reduction', 'least', 'units'),
    [(1024, 16, 32, 64), (256, 16, 32, 32), (40, 16, 1, 2), (8, 16, 1, 1)],
)
def test_hidden_units(channels, reduction, least, units):
    assert hidden_units(channels, reduction, least) == units


@pytest.mark.parametrize(('reduction', 'least'), [(0, 1), (16, 0)])
def test_no_hidden_unit_is_refused(reduction, least):
    with pytest.raises(ValueError, match='must be >= 1'):
        hidden_units(32, reduction, least)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match=r"gate must be .*'tanh'"):
        Gate(6, 4, 3, form='tanh')
