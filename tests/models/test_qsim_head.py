import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmps.models.qsim_head import QSimHead
from mmps.structures import BACKGROUND, UNLABELED


def make(dim=6, seed=0, **options):
    torch.manual_seed(seed)
    head = QSimHead(feat_dim=dim, **options).double()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    nn.init.uniform_(head.norm.running_mean, 0.1, 0.4)
    nn.init.uniform_(head.norm.running_var, 0.5, 1.5)
    return head


def unit_rows(rows, dim=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, dim, generator=generator, dtype=torch.float64)
    return F.normalize(x, dim=1)


def slow_logits(head, query, gallery):
    """The head written out; batch statistics while training."""
    norm = head.norm
    d = (query - gallery) ** 2
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    if head.training:
        mean = d.sum(0) / len(d)
        var = ((d - mean) ** 2).sum(0) / len(d)
    d = (d - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias
    return d @ head.fc.weight.t() + head.fc.bias


def slow_loss(head, query, gallery, same):
    logits = slow_logits(head, query, gallery)
    terms = [
        -(row[int(s)] - row.exp().sum().log())
        for row, s in zip(logits, same, strict=True)
    ]
    return sum(terms) / len(terms)


@pytest.fixture
def rois():
    """Few enough negatives that each of them is sampled."""
    ids = [2, UNLABELED, BACKGROUND, 0, 2, 1, BACKGROUND, 1]
    wanted = [2, 2, 2, 2, 2, 1, 1, 1]
    return torch.tensor(ids), torch.tensor(wanted)


# --- value and gradient


@pytest.mark.parametrize('training', [True, False])
def test_value_and_gradient_are_the_formula_written_out(rois, training):
    ids, wanted = rois
    same = [True, False, False, False, True, True, False, True]
    grads, values = [], []
    for of in ('ours', 'slow'):
        head = make(loss_weight=0.7).train(training)
        query = unit_rows(8, seed=1).requires_grad_()
        gallery = unit_rows(8, seed=2).requires_grad_()
        if of == 'ours':
            losses = head.loss(query, gallery, ids, wanted)
            assert {'loss_sim'} <= losses.keys() <= {'loss_sim', 'qsim_order'}
            value = losses['loss_sim']
        else:
            value = 0.7 * slow_loss(head, query, gallery, same)
        value.backward()
        values.append(value)
        grads.append(
            [query.grad, gallery.grad, *(p.grad for p in head.parameters())]
        )
    torch.testing.assert_close(*values, rtol=0, atol=1e-12)
    assert values[0] > 0.1
    for ours, slow in zip(*grads, strict=True):
        assert ours.any() or training  # the mean takes BatchNorm's bias off
        torch.testing.assert_close(ours, slow, rtol=0, atol=1e-10)


@pytest.mark.parametrize('training', [True, False])
def test_gradcheck(training):
    head = make().train(training)
    query = unit_rows(5, seed=1).requires_grad_()
    gallery = unit_rows(5, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(head, (query, gallery))


def test_similarity_is_the_probability_of_the_same_person():
    head = make().eval()
    query, gallery = unit_rows(5, seed=1), unit_rows(5, seed=2)
    logits = slow_logits(head, query, gallery)
    expected = 1 / (1 + (logits[:, 0] - logits[:, 1]).exp())
    got = head.similarity(query, gallery)
    assert got.std() > 0.01
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_a_fresh_head_orders_people_as_their_cosine_does():
    torch.manual_seed(0)
    head = QSimHead(feat_dim=64).double().eval()
    query, gallery = unit_rows(1, 64, seed=1), unit_rows(50, 64, seed=2)
    got = head.similarity(query.expand_as(gallery), gallery)
    cosine = (query * gallery).sum(dim=1)
    assert torch.equal(got.argsort(), cosine.argsort())
    # and its logits are of the size that BatchNorm's statistics give them
    with torch.no_grad():
        logits = head.train()(unit_rows(500, 64), unit_rows(500, 64, seed=3))
    assert 0.3 < float(logits.std()) < 3


@pytest.mark.parametrize('training', [True, False])
def test_query_and_gallery_may_be_swapped(training):
    head = make().train(training)
    query, gallery = unit_rows(5, seed=1), unit_rows(5, seed=2)
    assert torch.equal(head(query, gallery), head(gallery, query))


def test_statistics_move_while_training_alone():
    head = make()
    query, gallery = unit_rows(5, seed=1), unit_rows(5, seed=2)
    before = head.norm.running_mean.clone()
    head.eval()(query, gallery)
    assert torch.equal(head.norm.running_mean, before)
    head.train()(query, gallery)
    d = (query - gallery) ** 2
    expected = 0.9 * before + 0.1 * d.mean(dim=0)
    torch.testing.assert_close(head.norm.running_mean, expected)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_runs_in_float32_inside_autocast(dtype):
    head = make().float().eval()
    query, gallery = unit_rows(5, seed=1).float(), unit_rows(5, seed=2).float()
    ids, wanted = torch.tensor([1, 1, 0, -1, 1]), torch.ones(5).long()
    expected = head.loss(query, gallery, ids, wanted)['loss_sim']
    with torch.autocast('cpu', dtype=dtype):
        logits = head(query, gallery)
        loss = head.loss(query, gallery, ids, wanted)['loss_sim']
        low = head(query.to(dtype), gallery.to(dtype))
    assert logits.dtype == low.dtype == loss.dtype == torch.float32
    assert torch.equal(logits, head(query, gallery))
    torch.testing.assert_close(loss, expected)


# --- sampling


def sampled(ids, wanted, seed=0, **options):
    torch.manual_seed(seed)
    head = QSimHead(feat_dim=2, **options)
    rows = head.sample(torch.tensor(ids), torch.tensor(wanted)).tolist()
    assert len(set(rows)) == len(rows)
    return rows


SCENE = [5] * 2 + [UNLABELED] * 3 + [4] * 2 + [BACKGROUND] * 20


def test_all_positives_and_three_negatives_for_each_people_first():
    for seed in range(20):
        rows = sampled(SCENE, [5] * 27, seed)
        assert set(rows[:2]) == {0, 1}
        # 6 negatives: five other people, then background
        assert set(rows[2:7]) == {2, 3, 4, 5, 6}
        assert len(rows) == 8
        assert rows[7] >= 7


def test_negatives_are_drawn_at_random():
    background, people = set(), set()
    for seed in range(60):
        background.add(sampled(SCENE, [5] * 27, seed)[7])
        people.update(sampled(SCENE, [5] * 27, seed, negatives=1)[2:])
    assert len(background) > 15
    assert people == {2, 3, 4, 5, 6}


@pytest.mark.parametrize('negatives', [1, 2, 3, 50])
def test_the_option_limits_negatives_for_each_positive(negatives):
    rows = sampled(SCENE, [5] * 27, negatives=negatives)
    assert len(rows) == 2 + min(2 * negatives, 25)


def test_each_roi_is_compared_with_the_query_of_its_own_pair():
    ids = [5, 4, 5, 4, BACKGROUND]
    rows = sampled(ids, [5, 5, 4, 4, 4])
    assert set(rows[:2]) == {0, 3}
    assert set(rows[2:]) == {1, 2, 4}
    assert rows[4] == 4


@pytest.mark.parametrize(
    ('ids', 'expected'),
    [
        ([UNLABELED, 4, 4, UNLABELED, BACKGROUND], 3),
        ([BACKGROUND] * 9, 3),
        ([BACKGROUND, 4], 2),
        ([BACKGROUND], 1),
        ([], 0),
    ],
)
def test_without_a_positive_a_few_negatives_are_taken(ids, expected):
    rows = sampled(ids, [5] * len(ids))
    assert len(rows) == expected
    people = [r for r in range(len(ids)) if ids[r] != BACKGROUND]
    assert set(rows[: len(people)]) <= set(people) or len(people) < 3
    assert set(people) <= set(rows) or len(people) > 3


def test_without_a_negative_all_positives_are_taken():
    assert sorted(sampled([3, 3, 3], [3, 3, 3])) == [0, 1, 2]


@pytest.mark.parametrize(
    ('rows', 'training', 'felt'),
    [(0, True, 0), (0, False, 0), (1, True, 0), (1, False, 1)],
)
def test_hardly_any_roi_gives_a_finite_loss_and_a_gradient(
    rows, training, felt
):
    head = make().train(training)
    before = head.norm.running_var.clone()
    query = unit_rows(rows, seed=1).requires_grad_()
    gallery = unit_rows(rows, seed=2).requires_grad_()
    ids = torch.full((rows,), 3)
    value = head.loss(query, gallery, ids, ids)['loss_sim']
    value.backward()
    assert bool(value > 0) is bool(felt)
    for tensor in (query, gallery, *head.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()
        assert bool(tensor.grad.any()) is bool(felt)
    assert torch.equal(head.norm.running_var, before)


def test_the_log_says_who_is_more_similar():
    margin = torch.tensor([2.0, 1.0, 3.0, 9.0, -1.0, 0.0])
    logits = torch.stack([torch.zeros(6), margin], dim=1)
    ids = torch.tensor([5, 6, UNLABELED, BACKGROUND, 5, 6])
    wanted = torch.tensor([5, 5, 5, 5, 6, 6])
    # for 5: above 6, below the one without a name; for 6: above 5
    got = QSimHead.order(logits, ids, wanted)
    assert float(got) == pytest.approx((0.5 + 1) / 2)
    only = QSimHead.order(logits[:1], ids[:1], wanted[:1])
    assert only is None
