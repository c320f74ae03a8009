import math

import numpy as np
import pytest
import torch
from mmdet.models.task_modules import AnchorGenerator
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from mmps.distillation import (
    BoundedBoxLoss,
    EmbeddingLoss,
    HintLoss,
    RelationLoss,
    SoftCrossEntropyLoss,
)
from mmps.distillation.kd_losses import (
    bounded_box_loss,
    cells_of_images,
    soft_cross_entropy,
)


def draw(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(
        *shape, generator=generator, dtype=torch.float64
    )


def softmax_slowly(logits, temperature):
    powers = [math.exp(float(z) / temperature) for z in logits]
    return [power / sum(powers) for power in powers]


def soft_slowly(student, teacher, temperature, background_weight):
    values = []
    for ours, theirs in zip(student, teacher, strict=True):
        p_s = softmax_slowly(ours, temperature)
        p_t = softmax_slowly(theirs, temperature)
        value = 0.0
        for c in range(len(p_s)):
            weight = background_weight if c == len(p_s) - 1 else 1.0
            value -= weight * p_t[c] * math.log(p_s[c])
        values.append(value)
    return torch.tensor(values, dtype=torch.float64)


def bounded_slowly(student, teacher, target, margin):
    values, active = [], []
    for ours, theirs, y in zip(student, teacher, target, strict=True):
        error = float(np.square(ours.numpy() - y.numpy()).sum())
        bound = float(np.square(theirs.numpy() - y.numpy()).sum())
        active.append(error + margin > bound)
        values.append(error if active[-1] else 0.0)
    return torch.tensor(values, dtype=torch.float64), torch.tensor(active)


@pytest.mark.parametrize('temperature', [1.0, 2.5, 10.0])
@pytest.mark.parametrize('background_weight', [0.0, 1.0, 1.5])
@pytest.mark.parametrize('classes', [2, 4])
def test_soft_term_is_the_formula_written_out(
    classes, background_weight, temperature
):
    student, teacher = draw(9, classes, scale=3), draw(9, classes, seed=1)
    torch.testing.assert_close(
        soft_cross_entropy(student, teacher, temperature, background_weight),
        soft_slowly(student, teacher, temperature, background_weight),
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize('background_weight', [1.0, 1.5])
def test_objectness_is_binary_cross_entropy_of_sigmoids(background_weight):
    student, teacher = draw(9, 1, scale=4), draw(9, 1, seed=1, scale=4)
    p_s, p_t = (torch.sigmoid(z / 3.0) for z in (student, teacher))
    expected = (
        -p_t * p_s.log() - background_weight * (1 - p_t) * (1 - p_s).log()
    )
    value = soft_cross_entropy(student, teacher, 3.0, background_weight)
    torch.testing.assert_close(value, expected[:, 0], rtol=0, atol=1e-12)
    zero = torch.zeros_like(student)
    columns = soft_cross_entropy(
        torch.cat([student, zero], dim=1),
        torch.cat([teacher, zero], dim=1),
        3.0,
        background_weight,
    )
    assert torch.equal(value, columns)


def test_at_temperature_1_it_is_cross_entropy_with_soft_targets():
    student, teacher = draw(9, 2), draw(9, 2, seed=1)
    expected = torch.nn.functional.cross_entropy(
        student, teacher.softmax(dim=1), reduction='none'
    )
    value = soft_cross_entropy(student, teacher, temperature=1.0)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)


def test_a_student_equal_to_its_teacher_pays_the_entropy_and_stays():
    student = draw(9, 2).requires_grad_()
    value = soft_cross_entropy(student, student.detach().clone(), 2.0)
    p = (student.detach() / 2.0).softmax(dim=1)
    entropy = -(p * p.log()).sum(dim=1)
    torch.testing.assert_close(value.detach(), entropy, rtol=0, atol=1e-12)
    value.sum().backward()
    assert student.grad.abs().max() < 1e-12


@pytest.mark.parametrize('classes', [1, 2])
def test_gradient_of_the_soft_term_is_right(classes):
    teacher = draw(5, classes, seed=1)
    assert gradcheck(
        lambda z: soft_cross_entropy(z, teacher, 2.0, 1.5),
        draw(5, classes).requires_grad_(),
    )


def test_soft_targets_at_temperature_10_hardly_pull():
    # 34 times less than at 1 (spec, section 5), 0.34 times with T^2
    def gradient(temperature, **options):
        student = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
        loss = SoftCrossEntropyLoss(
            hard_weight=0, temperature=temperature, **options
        )
        loss(student, torch.full_like(student, 6.0), 1).backward()
        return student.grad.item()

    expected = 10 * (0.5 - 1 / (1 + math.exp(-6)))
    expected /= 0.5 - 1 / (1 + math.exp(-0.6))
    assert expected == pytest.approx(34.2, abs=0.05)
    assert gradient(1.0) / gradient(10.0) == pytest.approx(expected)
    scaled = gradient(10.0, scale_by_t2=True)
    assert gradient(1.0) / scaled == pytest.approx(expected / 100)


@pytest.mark.parametrize('count', [3.0, 7.5])
def test_soft_loss_of_a_stage_is_a_weighted_sum_over_the_count(count):
    student, teacher = draw(9, 2), draw(9, 2, seed=1)
    total = soft_slowly(student, teacher, 4.0, 1.5).sum()
    options = dict(temperature=4.0, background_weight=1.5)
    for weight in (0.0, 0.3, 1.0):
        loss = SoftCrossEntropyLoss(hard_weight=weight, **options)
        expected = (1 - weight) * total / count
        torch.testing.assert_close(loss(student, teacher, count), expected)
        loss = SoftCrossEntropyLoss(
            hard_weight=weight, scale_by_t2=True, **options
        )
        value = loss(student, teacher, count)
        torch.testing.assert_close(value, 16 * expected)


def test_defaults_are_those_of_the_paper():
    soft, box = SoftCrossEntropyLoss(), BoundedBoxLoss()
    assert (soft.hard_weight, soft.temperature) == (0.5, 10)
    assert (soft.scale_by_t2, soft.background_weight) == (False, 1)
    assert (box.loss_weight, box.margin) == (0.5, 0)
    hint = HintLoss(2, 3)
    assert (hint.loss_weight, hint.reduction) == (0.5, 'mean')


@pytest.mark.parametrize('margin', [-1.0, 0.0, 1.0])
def test_bounded_term_is_the_formula_written_out(margin):
    student, teacher, target = (draw(40, 4, seed=s) for s in range(3))
    values, active = bounded_box_loss(student, teacher, target, margin)
    expected, where = bounded_slowly(student, teacher, target, margin)
    assert torch.equal(active, where)
    assert 0 < active.sum() < 40
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-12)
    # and the loss of a stage: weighted, over all sampled boxes
    loss = BoundedBoxLoss(loss_weight=0.3, margin=margin)
    value, share = loss(student, teacher, target, 128.0)
    torch.testing.assert_close(value, 0.3 * expected.sum() / 128)
    assert share == pytest.approx(float(where.double().mean()))


@pytest.mark.parametrize(
    ('margin', 'active'), [(-1e-6, False), (0.0, False), (1e-6, True)]
)
def test_a_student_as_good_as_its_teacher(margin, active):
    student, target = draw(9, 4), draw(9, 4, seed=1)
    _, where = bounded_box_loss(student, student.clone(), target, margin)
    assert (where == active).all()


def test_a_better_student_is_left_alone_and_a_worse_one_is_pulled():
    target = torch.zeros(2, 4, dtype=torch.float64)
    student = torch.tensor([[1.0, 0, 0, 0], [3.0, 0, 0, 0]]).double()
    teacher = torch.tensor([[0, 0, 2.0, 0], [0, 0, 2.0, 0]]).double()
    student.requires_grad_()
    values, active = bounded_box_loss(student, teacher, target)
    assert active.tolist() == [False, True]
    assert values.tolist() == [0, 9]
    values.sum().backward()
    # to the person, not to the teacher
    assert student.grad.tolist() == [[0, 0, 0, 0], [6, 0, 0, 0]]


@pytest.mark.parametrize('margin', [-1.0, 0.0, 100.0])
def test_gradient_of_the_bounded_term_is_right(margin):
    teacher, target = draw(9, 4, seed=1), draw(9, 4, seed=2)
    assert gradcheck(
        lambda deltas: bounded_box_loss(deltas, teacher, target, margin)[0],
        draw(9, 4).requires_grad_(),
    )


@pytest.mark.parametrize('classes', [1, 2])
def test_no_box_gives_zero_and_a_gradient(classes):
    logits = torch.zeros(0, classes, requires_grad=True)
    value = SoftCrossEntropyLoss()(logits, logits.detach(), 0)
    value.backward()
    assert value == 0
    assert logits.grad is not None
    deltas = torch.zeros(0, 4, requires_grad=True)
    value, share = BoundedBoxLoss()(deltas, deltas.detach(), deltas, 0)
    value.backward()
    assert value == share == 0
    assert deltas.grad is not None


def test_no_gradient_reaches_the_teacher():
    teachers = [draw(4, 2).requires_grad_() for _ in range(2)]
    SoftCrossEntropyLoss()(
        draw(4, 2, seed=1).requires_grad_(), teachers[0], 4
    ).backward()
    boxes = draw(4, 4, seed=2).requires_grad_()
    BoundedBoxLoss(margin=100)(
        draw(4, 4, seed=1).requires_grad_(), boxes, draw(4, 4), 4
    )[0].backward()
    maps = draw(1, 3, 2, 2).requires_grad_()
    hint = HintLoss(2, 3).double()
    hint(draw(1, 2, 2, 2), maps, everything(maps)).backward()
    assert teachers[0].grad is boxes.grad is maps.grad is None


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    student, teacher = draw(9, 2).to(dtype), draw(9, 2, seed=1).to(dtype)
    value = soft_cross_entropy(student, teacher)
    assert value.dtype == torch.float32
    assert torch.equal(
        value, soft_cross_entropy(student.float(), teacher.float())
    )
    boxes = [draw(9, 4, seed=s).to(dtype) for s in range(3)]
    value, active = bounded_box_loss(*boxes)
    expected, where = bounded_box_loss(*(b.float() for b in boxes))
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert torch.equal(active, where)


def test_large_logits_stay_finite():
    student = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    value = soft_cross_entropy(student, -student.detach(), temperature=1.0)
    value.sum().backward()
    assert value.tolist() == [1e4, 1e4]
    assert student.grad.tolist() == [[1], [-1]]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(hard_weight=-0.1), 'hard_weight'),
        (dict(hard_weight=1.1), 'hard_weight'),
        (dict(temperature=0.0), 'temperature'),
        (dict(temperature=-1.0), 'temperature'),
        (dict(background_weight=-1.0), 'background_weight'),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SoftCrossEntropyLoss(**options)


def test_bad_reduction_is_named():
    with pytest.raises(ValueError, match="'mean' or 'sum', got 'none'"):
        HintLoss(2, 3, reduction='none')


def everything(maps):
    """No padding."""
    return torch.ones(maps[:, 0].shape, dtype=torch.bool)


def hint_slowly(weight, bias, student, teacher, sizes):
    """Sum and number of the squares in the first rows and columns."""
    total, count = 0.0, 0
    for b, (height, width) in enumerate(sizes):
        for i in range(height):
            for j in range(width):
                adapted = weight @ student[b, :, i, j] + bias
                apart = (adapted - teacher[b, :, i, j]).square()
                total, count = total + apart.sum(), count + len(apart)
    return total, count


@pytest.mark.parametrize('channels', [(2, 5), (5, 2), (3, 3)])
@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('sizes', [[(3, 4), (3, 4)], [(3, 2), (1, 4)]])
def test_hint_is_the_squared_distance_of_the_adapted_map(
    channels, reduction, sizes
):
    hint = HintLoss(*channels, loss_weight=0.7, reduction=reduction).double()
    student = draw(2, channels[0], 3, 4)
    teacher = draw(2, channels[1], 3, 4, seed=1)
    weight, bias = hint.adapter.weight.detach(), hint.adapter.bias.detach()
    assert weight.shape == (channels[1], channels[0], 1, 1)
    expected, count = hint_slowly(
        weight[:, :, 0, 0], bias, student, teacher, sizes
    )
    if reduction == 'mean':
        expected = expected / count
    inside = torch.zeros(2, 3, 4, dtype=torch.bool)
    for of_image, (height, width) in zip(inside, sizes, strict=True):
        of_image[:height, :width] = True
    value = hint(student, teacher, inside).detach()
    torch.testing.assert_close(value, 0.7 * expected)


def test_without_padding_the_hint_is_that_of_before_bit_for_bit():
    # runs on images of one shape stay reproducible
    hint = HintLoss(2, 3)
    student, teacher = draw(2, 2, 3, 5).float(), draw(2, 3, 3, 5).float()
    gradients = []
    for masked in (True, False):
        student = student.detach().requires_grad_()
        if masked:
            value = hint(student, teacher, everything(student))
        else:
            adapted = hint.adapter(student)
            value = 0.5 * torch.nn.functional.mse_loss(adapted, teacher)
        gradients.append(
            [
                value.detach(),
                *torch.autograd.grad(value, [student, *hint.parameters()]),
            ]
        )
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize('seen', ['all', 'part'])
def test_gradient_of_the_hint_is_right_for_map_and_adapter(seen):
    hint = HintLoss(2, 3).double()
    teacher = draw(1, 3, 2, 2, seed=1)
    inside = everything(teacher)
    if seen == 'part':
        inside[:, :, 1] = False

    def value(student, weight, bias):
        parameters = {'adapter.weight': weight, 'adapter.bias': bias}
        return torch.func.functional_call(
            hint, parameters, (student, teacher, inside)
        )

    assert gradcheck(
        value,
        (
            draw(1, 2, 2, 2).requires_grad_(),
            draw(3, 2, 1, 1, seed=2).requires_grad_(),
            draw(3, seed=3).requires_grad_(),
        ),
    )


def test_maps_of_other_size_are_both_named():
    with pytest.raises(ValueError, match=r'\(3, 4\).*\(3, 5\)'):
        HintLoss(2, 2)(
            torch.zeros(1, 2, 3, 4),
            torch.zeros(1, 2, 3, 5),
            torch.ones(1, 3, 4, dtype=torch.bool),
        )


@pytest.mark.parametrize('size', [15, 16, 17, 32, 33, 90, 96])
def test_the_cells_of_an_image_are_those_of_its_own_map(size):
    # every convolution or pooling of stride 2 halves upwards
    alone = math.ceil(math.ceil(math.ceil(math.ceil(size / 2) / 2) / 2) / 2)
    feats = torch.zeros(2, 1, 6, 7)
    inside = cells_of_images([(size, 100), (96, size)], (16, 16), feats)
    expected = torch.zeros(2, 6, 7, dtype=torch.bool)
    expected[0, :alone] = True
    expected[1, :, :alone] = True
    assert torch.equal(inside, expected)


def test_the_cells_of_an_image_are_those_of_its_valid_anchors():
    anchors = AnchorGenerator(strides=[(8, 16)], ratios=[1.0], scales=[1.0])
    feats, shapes = torch.zeros(3, 1, 5, 9), [(80, 72), (49, 41), (1, 1)]
    inside = cells_of_images(shapes, anchors.strides[0], feats)
    for of_image, shape in zip(inside, shapes, strict=True):
        (valid,) = anchors.valid_flags([(5, 9)], shape, device='cpu')
        assert torch.equal(of_image.flatten(), valid.bool())


def test_the_adapter_is_trained_but_neither_saved_nor_loaded():
    hint = HintLoss(2, 3)
    assert len(list(hint.parameters())) == 2
    assert not hint.state_dict()
    before = hint.adapter.weight.detach().clone()
    missing, unexpected = hint.load_state_dict({})
    assert (missing, unexpected) == ([], [])
    assert torch.equal(hint.adapter.weight, before)


def unit(rows, size, seed=0):
    return normalize(draw(rows, size, seed=seed), dim=1)


def embedding_slowly(student, teacher):
    total = 0.0
    for ours, theirs in zip(student.tolist(), teacher.tolist(), strict=True):
        total += 1 - sum(a * b for a, b in zip(ours, theirs, strict=True))
    return total / len(student)


def relation_slowly(student, teacher):
    """Mean over pairs, and how many lie on each branch of Huber's loss."""
    values, branches = [], [0, 0]
    for i in range(len(student)):
        for j in range(len(student)):
            if i == j:
                continue
            cosines = [
                sum(a * b for a, b in zip(x[i], x[j], strict=True))
                for x in (student.tolist(), teacher.tolist())
            ]
            apart = abs(cosines[0] - cosines[1])
            values.append(apart**2 / 2 if apart <= 1 else apart - 1 / 2)
            branches[apart > 1] += 1
    return sum(values) / len(values), branches


def test_embedding_term_is_the_formula_written_out():
    student, teacher = unit(7, 5), unit(7, 5, seed=1)
    value = EmbeddingLoss(loss_weight=0.3)(student, teacher)
    assert float(value) == pytest.approx(
        0.3 * embedding_slowly(student, teacher), abs=1e-12
    )
    assert EmbeddingLoss()(student, student) == pytest.approx(0, abs=1e-12)
    assert EmbeddingLoss()(student, -student) == pytest.approx(2)


@pytest.mark.parametrize('sizes', [(5, 3), (2, 4), (3, 3)])
def test_relation_term_is_the_formula_written_out(sizes):
    student, teacher = (unit(9, size, seed=s) for s, size in enumerate(sizes))
    expected, branches = relation_slowly(student, teacher)
    assert min(branches) > 0
    value = RelationLoss(loss_weight=0.7)(student, teacher)
    assert float(value) == pytest.approx(0.7 * expected, abs=1e-12)


def test_a_turned_student_has_the_relations_of_its_teacher():
    turn, _ = torch.linalg.qr(draw(4, 4, seed=3))
    teacher = unit(6, 4).requires_grad_()
    student = (teacher @ turn).detach().requires_grad_()
    value = RelationLoss()(student, teacher)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-12
    assert EmbeddingLoss()(student, teacher) > 0.1
    # and those of people in another order are others
    assert RelationLoss()(student, teacher.flip(0)) > 1e-3


@pytest.mark.parametrize(
    ('loss', 'size'), [(EmbeddingLoss, 4), (RelationLoss, 3)]
)
def test_gradients_of_the_terms_on_embeddings_are_right(loss, size):
    # also of the weights in front of the embeddings
    teacher = unit(5, size, seed=1)
    assert gradcheck(
        lambda z: loss(loss_weight=0.7)(normalize(z, dim=1), teacher),
        draw(5, 4).requires_grad_(),
    )


@pytest.mark.parametrize('rows', [0, 1])
def test_nobody_and_somebody_alone_have_no_relation(rows):
    student = unit(rows, 4).requires_grad_()
    value = RelationLoss()(student, unit(rows, 3, seed=1))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().sum() < 1e-12
    if not rows:
        value = EmbeddingLoss()(student, unit(0, 4))
        value.backward()
        assert value == 0


@pytest.mark.parametrize('loss', [EmbeddingLoss, RelationLoss])
def test_the_embeddings_of_the_teacher_get_no_gradient(loss):
    student = unit(5, 4).requires_grad_()
    teacher = unit(5, 4, seed=1).requires_grad_()
    loss()(student, teacher).backward()
    assert student.grad.abs().amax(dim=1).min() > 1e-3
    assert teacher.grad is None


@pytest.mark.parametrize('loss', [EmbeddingLoss, RelationLoss])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_terms_on_embeddings_are_in_float32_in_autocast(loss, dtype):
    student, teacher = (unit(9, 4, seed=s).to(dtype) for s in range(2))
    expected = loss()(student.float(), teacher.float())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = loss()(student, teacher)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
