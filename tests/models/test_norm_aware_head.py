import pytest
import torch
import torch.nn.functional as F

from mmps.models import NormAwareHead
from mmps.models.norm_aware_head import person_logits, vectors_of

LOSS = {'type': 'OIMLoss', 'num_ids': 3, 'queue_size': 2}


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = NormAwareHead((3, 5), LOSS, feat_dim=6).double()
    for name, value in head.state_dict().items():
        if value.is_floating_point() and 'loss_oim' not in name:
            value.copy_(torch.rand_like(value) + 0.5)
    return head


def vectors():
    return torch.randn(
        7, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def normalised(x, mean, var, part):
    return (x - mean) / (var + 1e-5).sqrt() * part.weight + part.bias


@pytest.mark.parametrize('training', [True, False])
def test_direction_and_length_are_those_of_the_formula(head, training):
    x = vectors()
    parts = []
    for project, c in (
        (head.project_c4, x[:, :3]),
        (head.project_c5, x[:, 3:]),
    ):
        raw = c @ project.fc.weight.T + project.fc.bias
        mean, var = (
            (raw.mean(0), raw.var(0, correction=0))
            if training
            else (project.bn.running_mean, project.bn.running_var)
        )
        parts.append(normalised(raw, mean.clone(), var.clone(), project.bn))
    both = torch.cat(parts, dim=1)
    length = both.square().sum(dim=1).sqrt()
    mean, var = (
        (length.mean(), length.var(correction=0))
        if training
        else (head.rescale.running_mean, head.rescale.running_var)
    )
    logits = normalised(length, mean.clone(), var.clone(), head.rescale)
    embeddings, found = head.train(training).embed(x)
    torch.testing.assert_close(embeddings, both / length[:, None])
    torch.testing.assert_close(found, logits)
    torch.testing.assert_close(head.eval()(x), head.embed(x)[0])


def test_the_gradient_of_both_outputs_is_right(head):
    x = vectors().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: head.train().embed(x), x)


def test_two_classes_of_one_logit_are_its_sigmoid():
    z = torch.randn(9, dtype=torch.float64)
    person = torch.rand(9) > 0.5
    logits = person_logits(z)
    torch.testing.assert_close(logits.softmax(1)[:, 0], z.sigmoid())
    torch.testing.assert_close(
        F.cross_entropy(logits, (~person).long()),
        F.binary_cross_entropy_with_logits(z, person.double()),
    )


def test_vectors_are_the_strongest_cells_and_what_follows():
    regions = torch.randn(2, 3, 4, 4)
    after = torch.randn(2, 5)
    both = vectors_of(regions, after)
    assert torch.equal(both[:, 3:], after)
    for r in range(2):
        for c in range(3):
            assert both[r, c] == max(regions[r, c].flatten().tolist())


def test_float32_inside_autocast():
    head = NormAwareHead((3, 5), LOSS, feat_dim=6)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        embeddings, logits = head.embed(torch.randn(4, 8).bfloat16())
    assert embeddings.dtype == logits.dtype == torch.float32


def test_weights_start_as_said():
    head = NormAwareHead((500, 400), LOSS, feat_dim=400)
    head.init_weights()
    for part in (head.project_c4, head.project_c5):
        for weight in (part.fc.weight, part.bn.weight):
            assert float(weight.detach().std()) == pytest.approx(0.01, rel=0.2)
        assert not part.fc.bias.any()
    assert head.rescale.weight == 1


@pytest.mark.parametrize(
    ('channels', 'size'), [((3,), 6), ((3, 4, 5), 6), ((3, 5), 7)]
)
def test_wrong_sizes_are_named(channels, size):
    with pytest.raises(ValueError, match=f'feat_dim={size}'):
        NormAwareHead(channels, LOSS, feat_dim=size)
