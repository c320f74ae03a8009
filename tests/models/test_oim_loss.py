import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS

from mmps.errors import InputError
from mmps.models import OIMLoss
from mmps.models.oim_loss import gather_rows, turns
from mmps.structures import BACKGROUND, UNLABELED
from tests.ranks import run_ranks
from tests.waits import counted_waits


def unit(*angles):
    """Unit vectors in the plane: similarities can be worked out by hand."""
    rad = torch.tensor(angles, dtype=torch.float64).deg2rad()
    return torch.stack([rad.cos(), rad.sin()], dim=1)


def make_loss(**options):
    options = {'num_ids': 2, 'feat_dim': 2, 'queue_size': 3, **options}
    return OIMLoss(**options).double()


def random_batch(num, num_ids, seed, dim=6):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num, dim, generator=generator, dtype=torch.float64)
    ids = torch.randint(BACKGROUND, num_ids, (num,), generator=generator)
    return F.normalize(x, dim=1), ids


def remember_slowly(table, queue, head, x, ids, momentum, renormalise=True):
    """The update of the paper, one RoI at a time."""
    table, queue = table.clone(), queue.clone()
    for row, identity in zip(x, ids.tolist(), strict=True):
        if identity >= 0:
            table[identity] = momentum * table[identity] + (1 - momentum) * row
            if renormalise:
                table[identity] /= table[identity].norm()
        elif identity == UNLABELED:
            queue[head] = row
            head = (head + 1) % len(queue)
    return table, queue, head


def test_value_is_the_formula_written_out():
    loss = make_loss(temperature=0.5).eval()
    loss.table.copy_(unit(0, 90))
    loss.queue.copy_(unit(180, 180, 180))
    angles = (60, 30, 120, 120, 120)  # from x to each row of [V ; U]
    cos = [math.cos(math.radians(a)) / 0.5 for a in angles]
    expected = -cos[1] + math.log(sum(map(math.exp, cos)))
    value = loss(unit(60), torch.tensor([1]))
    assert float(value) == pytest.approx(expected, abs=1e-12)


def test_first_loss_is_log_of_all_slots():
    # all-zero memory: every logit is 0, so the loss is ln(P + Q)
    loss = OIMLoss(num_ids=5532, feat_dim=8, queue_size=5000)
    x = F.normalize(torch.randn(4, 8), dim=1)
    assert float(loss(x, torch.arange(4))) == pytest.approx(9.262, abs=1e-3)


def test_mean_is_over_labelled_rois_only():
    x, ids = random_batch(40, 5, seed=0)
    loss = make_loss(num_ids=5, feat_dim=6, queue_size=7).eval()
    loss.table.copy_(random_batch(5, 5, seed=1)[0])
    loss.queue.copy_(random_batch(7, 5, seed=2)[0])
    memory = torch.cat([loss.table, loss.queue])
    terms = [
        -torch.log_softmax(memory @ row / 0.1, dim=0)[identity]
        for row, identity in zip(x, ids.tolist(), strict=True)
        if identity >= 0
    ]
    assert 0 < len(terms) < 40
    expected = sum(terms) / len(terms)
    torch.testing.assert_close(loss(x, ids), expected, rtol=0, atol=1e-12)


def test_gradient_is_right_and_none_reaches_the_memory():
    x, ids = random_batch(6, 3, seed=3)
    ids[:2] = torch.tensor([1, 1])
    loss = make_loss(num_ids=3, feat_dim=6, loss_weight=0.7).eval()
    loss.table.copy_(random_batch(3, 3, seed=4)[0])
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, ids), x)
    assert not list(loss.parameters())


@pytest.mark.parametrize('ids', [[], [UNLABELED], [BACKGROUND, UNLABELED]])
def test_no_labelled_roi_gives_zero_and_a_gradient(ids):
    x = torch.randn(len(ids), 2, dtype=torch.float64, requires_grad=True)
    value = make_loss()(x, torch.tensor(ids, dtype=torch.long))
    value.backward()
    assert value == 0
    assert x.grad is not None
    assert not x.grad.any()


@pytest.mark.parametrize('weight', [0.1, 1.0])
def test_weight_scales_the_value(weight):
    x, ids = unit(60), torch.tensor([1])
    value = make_loss(loss_weight=weight)(x, ids)
    assert float(value) == pytest.approx(weight * math.log(5))


@pytest.mark.parametrize('renormalise', [True, False])
@pytest.mark.parametrize('queue_size', [1, 5, 13])
def test_update_equals_one_roi_after_another(queue_size, renormalise):
    # momentum 0.3: at 0.5 old and new could be swapped unnoticed
    loss = make_loss(
        num_ids=4,
        feat_dim=6,
        queue_size=queue_size,
        momentum=0.3,
        renormalise=renormalise,
    )
    table, queue, head = loss.table.clone(), loss.queue.clone(), 0
    for seed in range(6):
        x, ids = random_batch(30, 4, seed=seed)
        loss(x, ids)
        table, queue, head = remember_slowly(
            table, queue, head, x, ids, 0.3, renormalise
        )
        torch.testing.assert_close(loss.table, table, rtol=0, atol=1e-12)
        torch.testing.assert_close(loss.queue, queue, rtol=0, atol=0)
        assert int(loss.queue_head) == head


@pytest.mark.parametrize('renormalise', [True, False])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_update_is_that_of_a_sequence_to_the_bit(renormalise, dtype):
    options = dict(num_ids=5, feat_dim=64, queue_size=7, momentum=0.3)
    loss = OIMLoss(**options, renormalise=renormalise).to(dtype)
    table, queue, head = loss.table.clone(), loss.queue.clone(), 0
    for seed in range(4):
        x, ids = random_batch(80, 5, seed, dim=64)
        x = x.to(dtype)
        loss(x, ids)
        for row, identity in zip(x, ids.tolist(), strict=True):
            if identity >= 0:
                moved = 0.3 * table[[identity]] + (1 - 0.3) * row
                if renormalise:
                    moved = F.normalize(moved, dim=1)
                table[identity] = moved
            elif identity == UNLABELED:
                queue[head] = row
                head = (head + 1) % 7
        assert torch.equal(loss.table, table)
        assert torch.equal(loss.queue, queue)
        assert loss.queue_head == head


def test_turns_count_earlier_rois_of_the_same_identity():
    rows = np.array([3, 1, 3, 3, 0, 1])
    assert turns(rows).tolist() == [0, 0, 1, 2, 0, 1]
    assert turns(rows[:0]).tolist() == []


def many_rois_of_one_person():
    """640 RoIs with up to 28 of one identity, as in a batch of 5 images."""
    x, ids = random_batch(640, 5, seed=0)
    ids[:] = BACKGROUND
    ids[:200] = torch.arange(200) % 40
    ids[200:223] = 7
    ids[300:320] = UNLABELED
    return x, ids


@pytest.mark.parametrize(
    'options', [{}, {'mask_empty': True}, {'update_table': False}]
)
def test_a_step_waits_for_the_gpu_once(options):
    loss = make_loss(num_ids=40, feat_dim=6, **options)
    x, ids = many_rois_of_one_person()
    with counted_waits() as waits:
        loss(x.requires_grad_(), ids).backward()
    assert sum(waits.values()) == 1, waits


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_step_on_a_gpu_waits_once_and_is_that_of_the_cpu():
    x, ids = many_rois_of_one_person()
    results = []
    for device in ('cpu', 'cuda'):
        loss = make_loss(num_ids=40, feat_dim=6).to(device)
        leaf, rows = x.to(device).requires_grad_(), ids.to(device)
        loss(leaf, rows)  # once for what is set up at first use
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter('always')
            try:
                torch.cuda.set_sync_debug_mode('warn')
                value = loss(leaf, rows)
            finally:
                torch.cuda.set_sync_debug_mode('default')
        (grad,) = torch.autograd.grad(value, leaf)
        waits = [w for w in told if 'called a synchroniz' in str(w.message)]
        assert len(waits) == (device == 'cuda')
        results.append(
            [t.detach().cpu() for t in (value, grad, loss.table, loss.queue)]
        )
    torch.testing.assert_close(*results)


def test_identities_may_be_on_the_cpu_for_several_calls():
    loss, twin = (make_loss(num_ids=40, feat_dim=6) for _ in range(2))
    x, ids = many_rois_of_one_person()
    value = twin(x, ids)
    ids = ids.cpu()
    assert torch.equal(loss.compare(x, ids), value)
    loss.remember(x, ids)
    assert torch.equal(loss.table, twin.table)


def test_loss_and_gradient_see_the_table_before_the_batch():
    x, ids = random_batch(12, 4, seed=5)
    before = make_loss(num_ids=4, feat_dim=6)
    before.table.copy_(random_batch(4, 4, seed=6)[0])
    frozen = make_loss(num_ids=4, feat_dim=6).eval()
    frozen.load_state_dict(before.state_dict())
    grads = []
    for loss in (before, frozen):
        leaf = x.clone().requires_grad_()
        value = loss(leaf, ids)
        value.backward()
        grads.append(leaf.grad)
    assert torch.equal(*grads)


def test_nothing_is_remembered_in_eval_mode():
    loss = make_loss().eval()
    loss(unit(10, 20), torch.tensor([0, UNLABELED]))
    assert not loss.table.any()
    assert not loss.queue.any()
    assert loss.queue_head == 0


def test_background_is_never_remembered():
    loss = make_loss()
    loss(unit(10, 20), torch.tensor([BACKGROUND, BACKGROUND]))
    assert not loss.table.any()
    assert not loss.queue.any()


def test_mask_empty_leaves_unwritten_rows_out():
    loss = make_loss(mask_empty=True, temperature=1.0).eval()
    loss.table[0] = unit(0)[0]
    loss.queue[1] = unit(90)[0]
    # row 1 is empty but is the target: it stays, with logit 0
    logits = [math.cos(math.radians(60)), 0.0, math.cos(math.radians(30))]
    expected = math.log(sum(map(math.exp, logits)))
    value = loss(unit(60), torch.tensor([1]))
    assert float(value) == pytest.approx(expected, abs=1e-12)


def test_resumed_run_equals_unbroken_run():
    batches = [
        (unit(a, a + 40), torch.tensor([0, UNLABELED])) for a in range(5)
    ]
    unbroken, first, second = make_loss(), make_loss(), make_loss()
    for x, t in batches[:2]:
        first(x, t)
    second.load_state_dict(first.state_dict())
    values = [second(x, t) for x, t in batches[2:]]
    expected = [unbroken(x, t) for x, t in batches][2:]
    assert torch.equal(torch.stack(values), torch.stack(expected))
    assert int(second.queue_head) == int(unbroken.queue_head) == 2


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_runs_in_float32_inside_autocast(dtype):
    x = F.normalize(torch.randn(4, 8), dim=1)
    ids = torch.tensor([0, 1, 2, UNLABELED])
    plain = OIMLoss(num_ids=3, feat_dim=8, queue_size=4)
    mixed = OIMLoss(num_ids=3, feat_dim=8, queue_size=4)
    for loss in (plain, mixed):
        loss.table.copy_(F.normalize(torch.eye(3, 8) + 0.1, dim=1))
    expected = plain(x, ids)
    with torch.autocast('cpu', dtype=dtype):
        value = mixed(x, ids)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert torch.equal(mixed.table, plain.table)


def test_identity_names_travel_with_the_table():
    loss = make_loss()
    loss.name_identities(['p17', 'é 3'])
    other = make_loss()
    missing, unexpected = other.load_state_dict(loss.state_dict())
    assert (missing, unexpected) == ([], [])
    assert other.identity_names == ('p17', 'é 3')
    other.name_identities(['p17', 'é 3'])
    with pytest.raises(ValueError, match=r"row 1 is 'é 3' there and 'p4'"):
        other.name_identities(['p17', 'p4'])


def test_a_file_without_names_leaves_those_that_are_known():
    loss = make_loss()
    loss.name_identities(['a', 'b'])
    loss.load_state_dict(make_loss().state_dict())
    assert loss.identity_names == ('a', 'b')


def test_a_table_that_knows_no_names_takes_over_all():
    other = make_loss()
    other.name_identities(['a', 'b'])
    saved = other.state_dict()
    assert make_loss().take_over(saved) == (saved, '')


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (['a'], 'num_ids=1'),
        (['a', 'a'], 'must differ'),
        (['a', 'b\nc'], 'line feed'),
    ],
)
def test_wrong_names_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        make_loss().name_identities(names)


@pytest.mark.parametrize(
    'state',
    [torch.tensor([255, 254], dtype=torch.uint8), torch.ones(2), 'text'],
)
def test_names_in_a_file_are_text(state):
    with pytest.raises(InputError, match=r'names .* are not text in UTF-8'):
        make_loss().set_extra_state(state)


@pytest.mark.parametrize('identity', [2, BACKGROUND - 1])
def test_identity_without_row_is_named(identity):
    with pytest.raises(IndexError, match=f'identity {identity} has no row'):
        make_loss()(unit(0), torch.tensor([identity]))


def test_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r'must be \(2, 2\)'):
        make_loss()(unit(0), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'momentum': 1.0}, 'momentum'),
        ({'temperature': 0.0}, 'temperature'),
        ({'num_ids': 0}, 'num_ids'),
        ({'queue_size': -1}, 'queue_size'),
        ({'feat_dim': 0}, 'feat_dim'),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make_loss(**options)


def test_misspelt_option_is_refused():
    cfg = {'type': 'OIMLoss', 'num_ids': 3, 'momentun': 0.1}
    with pytest.raises(TypeError, match='momentun'):
        MODELS.build(cfg)


def run_share(rank, world_size):
    """Three steps on this rank's share of each global batch."""
    loss = make_loss(num_ids=4, feat_dim=6, queue_size=9, momentum=0.3)
    linear = torch.nn.Linear(6, 6, bias=False).double()
    torch.nn.init.eye_(linear.weight)
    values, grads = [], []
    for seed in range(3):
        x, ids = random_batch(24, 4, seed=seed)
        if seed == 1:
            ids[:12] = BACKGROUND  # with two or three ranks, the first
            #                        has no person at all
        start = 24 * rank // world_size
        share = slice(start, 24 * (rank + 1) // world_size)
        linear.zero_grad()
        with counted_waits() as waits:
            value = loss(F.normalize(linear(x[share]), dim=1), ids[share])
        # the identities here; how many others have, and which
        assert sum(waits.values()) <= (1 if world_size == 1 else 3), waits
        value.backward()
        value, grad = value.detach(), linear.weight.grad.clone()
        if world_size > 1:
            torch.distributed.all_reduce(value)
            torch.distributed.all_reduce(grad)
        values.append(float(value) / world_size)
        grads.append(grad / world_size)
    return values, torch.stack(grads), loss.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize('world_size', [2, 3])
def test_several_processes_equal_one(world_size, tmp_path):
    values, grads, state = run_share(0, 1)
    results = run_ranks(world_size, tmp_path, run_share, world_size)
    for got_values, got_grads, got_state in results:
        assert got_values == pytest.approx(values, abs=1e-6)
        torch.testing.assert_close(got_grads, grads, rtol=0, atol=1e-6)
        for key in ('table', 'queue', 'queue_head'):
            torch.testing.assert_close(
                got_state[key], state[key], rtol=0, atol=1e-6
            )
            # and the processes agree to the bit
            assert torch.equal(got_state[key], results[0][2][key])


def test_one_process_gathers_itself():
    x, ids = random_batch(3, 2, seed=0)
    ids = ids.numpy()
    got_x, got_ids = gather_rows(x, ids)
    assert got_x is x
    assert got_ids is ids


def remembering(**options):
    """A loss whose table and queue are full of random people."""
    loss = make_loss(num_ids=4, feat_dim=6, queue_size=9, **options)
    loss.table.copy_(random_batch(4, 4, seed=100)[0])
    loss.queue.copy_(random_batch(9, 4, seed=101)[0])
    return loss


def frozen_twin(loss):
    twin = make_loss(num_ids=4, feat_dim=6, queue_size=9)
    twin.load_state_dict(loss.state_dict())
    twin.freeze(loss.table.clone())
    return twin


def test_a_frozen_table_stays_while_the_queue_goes_on():
    live = remembering()
    frozen = frozen_twin(live)
    table = frozen.table.clone()
    for seed in range(12):
        x, ids = random_batch(20, 4, seed=seed)
        live(x, ids)
        frozen(x, ids)
        assert torch.equal(frozen.table, table)
        assert torch.equal(frozen.queue, live.queue)
        assert frozen.queue_head == live.queue_head
    assert not (live.table == table).all(dim=1).any()


def test_a_frozen_loss_has_the_value_and_the_gradient_of_a_live_one():
    live = remembering()
    frozen = frozen_twin(live)
    x, ids = random_batch(12, 4, seed=5)
    values, grads = [], []
    for loss in (live, frozen):
        leaf = x.clone().requires_grad_()
        values.append(loss(leaf, ids))
        values[-1].backward()
        grads.append(leaf.grad)
    assert values[0] > 0
    assert torch.equal(*values)
    assert torch.equal(*grads)


def test_a_table_is_copied_and_gets_no_gradient():
    # as the weights of a softmax teacher would
    rows = random_batch(4, 4, seed=1)[0].requires_grad_()
    loss = make_loss(num_ids=4, feat_dim=6)
    loss.freeze(rows)
    x, ids = random_batch(12, 4, seed=5)
    loss(x.requires_grad_(), ids).backward()
    assert x.grad.any()
    assert rows.grad is None
    assert not loss.table.requires_grad
    expected = rows.detach().clone()
    rows.detach().zero_()
    assert torch.equal(loss.table, expected)


def test_freezing_may_be_left_to_the_config_or_to_a_hook():
    assert not make_loss().frozen
    assert not make_loss(update_table=True).frozen
    assert make_loss(update_table=False).frozen
    loss = make_loss()
    loss.freeze(unit(10, 20))
    assert loss.frozen


@pytest.mark.parametrize(
    ('update_table', 'moves'), [(None, True), (True, True), (False, False)]
)
def test_the_config_decides_whether_the_table_learns(update_table, moves):
    loss = make_loss(update_table=update_table)
    loss(unit(10, 20), torch.tensor([0, UNLABELED]))
    assert bool(loss.table.any()) is moves
    assert torch.equal(loss.queue[0], unit(20)[0])


def test_a_table_that_must_learn_cannot_be_frozen():
    loss = make_loss(update_table=True)
    with pytest.raises(ValueError, match='update_table=True'):
        loss.freeze(unit(10, 20))
    assert not loss.table.any()
    assert not loss.frozen


@pytest.mark.parametrize('shape', [(3, 2), (2, 3), (1, 2), (2,), (2, 1)])
def test_a_table_of_another_shape_is_refused(shape):
    loss = make_loss()
    with pytest.raises(ValueError, match=r'cannot replace one of \(2, 2\)'):
        loss.freeze(torch.ones(shape))
    assert not loss.table.any()
    assert not loss.frozen


def test_only_the_order_of_rows_among_their_labels_matters():
    # embeddings lie close to their rows, so another order must be worse
    rows = random_batch(4, 4, seed=7)[0]
    ids = torch.arange(4).repeat(3)
    x = F.normalize(rows[ids] + 0.05 * random_batch(12, 4, seed=8)[0], dim=1)
    order = torch.tensor([2, 0, 3, 1])
    place = order.argsort()  # row r stands at place[r]

    def value(table, ids):
        loss = remembering()
        loss.freeze(table)
        return float(loss(x, ids))

    expected = value(rows, ids)
    assert value(rows[order], place[ids]) == pytest.approx(expected, abs=1e-12)
    assert value(rows[order], ids) > expected + 1
    assert value(rows, place[ids]) > expected + 1


def test_an_evaluated_frozen_loss_remembers_nothing():
    loss = remembering().eval()
    loss.freeze(loss.table.clone())
    queue = loss.queue.clone()
    loss(*random_batch(12, 4, seed=5))
    assert torch.equal(loss.queue, queue)
    assert loss.queue_head == 0


def test_comparing_remembers_nothing():
    loss = remembering()
    before = {name: t.clone() for name, t in loss.state_dict().items()}
    x, ids = random_batch(20, 4, seed=3)
    first, second = loss.compare(x, ids), loss.compare(x, ids)
    assert first > 0
    assert torch.equal(first, second)
    for name, tensor in loss.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize('training', [True, False])
def test_a_step_is_to_compare_and_then_to_remember(training):
    whole, parts = (
        remembering(loss_weight=0.7, momentum=0.3).train(training)
        for _ in range(2)
    )
    for seed in range(4):
        x, ids = random_batch(20, 4, seed=seed)
        leaves = [x.clone().requires_grad_() for _ in range(2)]
        values = whole(leaves[0], ids), parts.compare(leaves[1], ids)
        if training:
            parts.remember(leaves[1], ids)
        assert torch.equal(*values)
        for value in values:
            value.backward()
        assert torch.equal(leaves[0].grad, leaves[1].grad)
        assert torch.equal(whole.table, parts.table)
        assert torch.equal(whole.queue, parts.queue)
        assert whole.queue_head == parts.queue_head
    assert torch.equal(whole.table, remembering().table) is not training


def test_two_comparisons_may_share_one_memory():
    one, two = remembering(), remembering()
    x, ids = random_batch(20, 4, seed=3)
    values = [
        one.compare(x[rows], ids[rows]) for rows in (slice(12), slice(12, 20))
    ]
    one.remember(x, ids)
    counts = [(ids[:12] >= 0).sum(), (ids[12:] >= 0).sum()]
    expected = two(x, ids) * sum(counts)
    got = sum(v * n for v, n in zip(values, counts, strict=True))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    assert torch.equal(one.table, two.table)


def test_comparing_checks_its_arguments():
    loss = make_loss()
    with pytest.raises(IndexError, match='identity 2 has no row'):
        loss.compare(unit(10), torch.tensor([2]))
    with pytest.raises(ValueError, match='for 2 ids'):
        loss.compare(unit(10), torch.tensor([0, 1]))
