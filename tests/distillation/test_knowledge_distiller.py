import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper

from mmps.distillation import KnowledgeDistiller
from mmps.structures import UNLABELED
from tests.distillation.networks import (
    PEOPLE,
    distiller_config,
    make_student,
    network_config,
)
from tests.models.build import batch, scene

# the second is padded from 80 x 90 to the 96 x 128 of the first
SCENES = ((PEOPLE, [2, UNLABELED]), (PEOPLE[:1], [0], (80, 90)))
STOCK = {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'acc'}
KEYS = {
    'hint': {'loss_kd_hint', 'kd_adapter_norm'},
    'rpn': {'loss_kd_rpn_cls', 'loss_kd_rpn_bbox', 'kd_rpn_active'},
    'rcn': {'loss_kd_rcn_cls', 'loss_kd_rcn_bbox', 'kd_rcn_active'},
}
PARTS = tuple(KEYS)
ON_EMBEDDINGS = ['embedding', 'relation']
LARGER = {'roi_head.oim_head.feat_dim': 12}


def make_batch(model, people=SCENES):
    scenes = [scene(*args, seed=s) for s, args in enumerate(people)]
    return batch(model, *scenes, training=True)


def step(model, data=None):
    """Losses of one step whose anchors and RoIs are always drawn alike."""
    torch.manual_seed(5)
    return model.loss(*(data or make_batch(model)))


def record(model):
    """What the student tells its distiller in the next steps."""
    told = []
    model.distiller.register_forward_pre_hook(
        lambda module, args: told.append(args)
    )
    return told


def count_calls(monkeypatch, owner, name):
    calls, real = [], getattr(owner, name)

    def counting(*args, **kwargs):
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, counting)
    return calls


@pytest.fixture
def distiller(tmp_path):
    return distiller_config(tmp_path)


def stage_slowly(boxes, logits, deltas, options):
    """Soft and bounded terms of a stage, one box after another."""
    temperature, soft, bounded, active = options['T'], 0.0, 0.0, []
    for i in range(len(boxes.logits)):
        pair = [z[i].double() / temperature for z in (boxes.logits, logits)]
        if len(pair[0]) == 1:
            pair = [F.pad(z, (0, 1)) for z in pair]
        p_s, p_t = (z.softmax(dim=0) for z in pair)
        soft -= p_t[0] * p_s[0].log()
        soft -= options['background_weight'] * p_t[1] * p_s[1].log()
        if boxes.positive[i]:
            errors = [
                (z[i] - boxes.targets[i]).double().square().sum()
                for z in (boxes.deltas, deltas)
            ]
            active.append(bool(errors[0] + options['margin'] > errors[1]))
            bounded += errors[0] * active[-1]
    soft *= 1 - options['mu']
    return (
        soft / boxes.count,
        options['weight'] * bounded / boxes.count,
        sum(active) / max(len(active), 1),
    )


@pytest.mark.parametrize(
    ('depths', 'oim', 'sigmoid'),
    [
        ((18, 18), True, True),
        ((18, 50), False, True),
        ((50, 18), False, False),
    ],
)
def test_losses_of_a_step_are_those_computed_by_hand(
    depths, oim, sigmoid, tmp_path
):
    changes = {'rpn_head.loss_cls.use_sigmoid': sigmoid}
    options = [
        dict(T=2.0, mu=0.3, background_weight=1.5, margin=0.0, weight=0.4),
        dict(T=3.0, mu=0.6, background_weight=1.0, margin=0.1, weight=0.7),
    ]
    stages = [
        dict(
            soft=dict(
                temperature=o['T'],
                hard_weight=o['mu'],
                background_weight=o['background_weight'],
            ),
            box=dict(loss_weight=o['weight'], margin=o['margin']),
        )
        for o in options
    ]
    student = make_student(
        distiller_config(
            tmp_path,
            network_config(depths[1], oim=not oim, **changes),
            hint=dict(loss_weight=0.9),
            rpn=stages[0],
            rcn=stages[1],
        ),
        depth=depths[0],
        oim=oim,
        **changes,
    )
    plain = make_student(None, depth=depths[0], oim=oim, **changes)
    plain.load_state_dict(student.state_dict())
    told, losses = record(student), step(student)
    expected = step(plain)
    expected['loss_rpn_cls'] = 0.3 * expected['loss_rpn_cls']
    expected['loss_cls'] = 0.6 * expected['loss_cls']

    ((inputs, _, feats, anchors, rois, _),) = told
    model = student.distiller.teacher.model
    with torch.no_grad():
        theirs = model.extract_feat(inputs)
        (scores,), (deltas,) = model.rpn_head(theirs)
        size = 1 if sigmoid else 2
        answers = [
            maps.permute(0, 2, 3, 1).reshape(-1, n)[anchors.where]
            for maps, n in ((scores, size), (deltas, 4))
        ]
        on_rois = model.roi_head.bbox_head(
            model.roi_head.pool(theirs, rois.where)
        )
    for name, boxes, answer, o in (
        ('rpn', anchors, answers, options[0]),
        ('rcn', rois, on_rois, options[1]),
    ):
        assert 0 < boxes.positive.sum() < len(boxes.positive)
        soft, bounded, share = stage_slowly(boxes, *answer, o)
        expected[f'loss_kd_{name}_cls'] = soft
        expected[f'loss_kd_{name}_bbox'] = bounded
        expected[f'kd_{name}_active'] = torch.tensor(share)
    adapter = student.distiller.hint.adapter
    weight = adapter.weight[:, :, 0, 0]
    adapted = torch.einsum('oc,bchw->bohw', weight, feats[0])
    adapted = adapted + adapter.bias[:, None, None]
    apart = (adapted - theirs[0]).square()
    assert apart.shape[-2:] == (6, 8)
    of_images = apart[0], apart[1, :, :5, :6]
    apart = torch.cat([of_image.flatten() for of_image in of_images])
    expected['loss_kd_hint'] = 0.9 * apart.mean()
    expected['kd_adapter_norm'] = weight.square().sum().sqrt()
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(
            losses[key].double(), value.double(), rtol=1e-5, atol=1e-7, msg=key
        )
    assert losses['loss_kd_rpn_bbox'] > 0
    assert losses['loss_kd_rcn_bbox'] > 0


def test_anchors_and_rois_are_sampled_once_and_the_teacher_runs_once(
    distiller, monkeypatch
):
    student = make_student(distiller)
    teacher = student.distiller.teacher.model

    def refuse(*args, **kwargs):
        raise AssertionError('the teacher must not propose')

    for owner in (teacher, teacher.rpn_head, teacher.roi_head):
        for name in ('predict', 'predict_by_feat', 'loss', 'propose'):
            if hasattr(owner, name):
                monkeypatch.setattr(owner, name, refuse)
    monkeypatch.setattr(teacher.rpn_head, '_predict_by_feat_single', refuse)
    monkeypatch.setattr(teacher.rpn_head.sampler, 'sample', refuse)
    monkeypatch.setattr(teacher.roi_head.bbox_sampler, 'sample', refuse)
    head = teacher.roi_head
    calls = {
        'backbone': count_calls(monkeypatch, teacher.backbone, 'forward'),
        'rpn': count_calls(monkeypatch, teacher.rpn_head, 'forward'),
        'conv5': count_calls(monkeypatch, head.shared_head, 'forward'),
    }
    samplers = [
        count_calls(monkeypatch, student.rpn_head.sampler, 'sample'),
        count_calls(monkeypatch, student.roi_head.bbox_sampler, 'sample'),
    ]
    data = make_batch(student)
    step(student, data)
    assert {name: len(seen) for name, seen in calls.items()} == {
        'backbone': 1,
        'rpn': 1,
        'conv5': 1,
    }
    assert calls['backbone'][0][0] is data[0]  # the very tensor
    assert [len(seen) for seen in samplers] == [2, 2]  # once an image


@pytest.mark.parametrize('part', PARTS)
def test_a_part_alone_adds_its_own_losses(part, tmp_path):
    student = make_student(distiller_config(tmp_path, parts=[part]))
    plain = make_student(None)
    plain.load_state_dict(student.state_dict())
    losses, stock = step(student), step(plain)
    assert set(losses) == STOCK | KEYS[part]
    halved = {'rpn': 'loss_rpn_cls', 'rcn': 'loss_cls'}.get(part)
    for key, value in stock.items():
        expected = 0.5 * value if key == halved else value
        assert torch.equal(losses[key], expected), key
    has_adapter = any('adapter' in n for n, _ in student.named_parameters())
    assert has_adapter == (part == 'hint')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(parts=[]), 'parts must be a list'),
        (dict(parts='hint'), "got 'hint'"),
        (dict(parts=['hint', 'roi']), r"got \['hint', 'roi'\]"),
        (dict(parts=['rpn'], rcn=dict()), 'distiller.rcn has options'),
        (dict(parts=['rpn'], hint=dict()), 'distiller.hint has options'),
        (dict(rpn=dict(sotf=dict())), r"distiller.rpn .* got \['sotf'\]"),
        (dict(rcn=dict(temperature=1)), "'soft' and 'box'"),
        (dict(rcn=dict(soft=dict(hard_weight=2))), 'hard_weight'),
        (dict(hint=dict(reduction='max')), 'reduction'),
        (dict(embedding=dict()), 'distiller.embedding has options'),
        (dict(relation=dict()), 'distiller.relation has options'),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        KnowledgeDistiller(
            teacher=network_config(),
            checkpoint='never.pth',
            student_channels=32,
            **options,
        )


@pytest.mark.parametrize('part', [*PARTS, *ON_EMBEDDINGS])
def test_a_misspelt_option_is_refused(part):
    wrong = dict(wieght=1)
    options = dict(box=wrong) if part in ('rpn', 'rcn') else wrong
    with pytest.raises(TypeError, match='wieght'):
        KnowledgeDistiller(
            teacher=network_config(oim=True),
            checkpoint='never.pth',
            student_channels=32,
            parts=[*PARTS, *ON_EMBEDDINGS],
            **{part: options},
        )


def test_a_step_without_the_teacher_says_what_to_do(distiller):
    student = make_student(distiller, load=False)
    with pytest.raises(RuntimeError, match='DistillerHook'):
        step(student)


def test_a_teacher_that_does_not_fit_is_refused(tmp_path):
    changes = {'rpn_head.anchor_generator.ratios': [1.0]}
    teacher = network_config(**changes)
    student = make_student(distiller_config(tmp_path, teacher), load=False)
    with pytest.raises(ValueError, match='anchors'):
        student.distiller.load_teacher(student)
    assert student.distiller.teacher is None


def tensors_of(teacher):
    model = teacher.model
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def test_the_teacher_is_nowhere_among_the_weights(distiller):
    student = make_student(distiller)
    plain = make_student(None)
    theirs = {id(t) for t in tensors_of(student.distiller.teacher).values()}
    assert student.state_dict().keys() == plain.state_dict().keys()
    assert not theirs & {id(b) for b in student.buffers()}
    assert not theirs & {id(p) for p in student.parameters()}
    names = {name for name, _ in student.named_parameters()}
    adapter = {f'distiller.hint.adapter.{n}' for n in ('weight', 'bias')}
    assert names - {n for n, _ in plain.named_parameters()} == adapter
    optimizer = build_optim_wrapper(
        student, dict(optimizer=dict(type='SGD', lr=0.1))
    ).optimizer
    updated = {id(p) for g in optimizer.param_groups for p in g['params']}
    assert not theirs & updated
    ours = student.distiller.hint.adapter
    assert {id(ours.weight), id(ours.bias)} <= updated


@pytest.mark.parametrize('buffers', [True, False])
def test_a_moving_average_shares_the_teacher(buffers, distiller):
    student = make_student(distiller)
    average = ExponentialMovingAverage(
        student, momentum=0.5, update_buffers=buffers
    )
    teacher = student.distiller.teacher
    assert average.module.distiller.teacher is teacher
    theirs = {id(t) for t in tensors_of(teacher).values()}
    held = [*average.parameters(), *average.buffers()]
    assert not theirs & {id(t) for t in held}
    assert not [key for key in average.state_dict() if 'distiller' in key]
    before = copy.deepcopy(tensors_of(teacher))
    for _ in range(2):
        average.update_parameters(student)
    for name, value in before.items():
        assert torch.equal(tensors_of(teacher)[name], value), name


def test_steps_move_the_student_and_the_adapter_and_never_the_teacher(
    distiller,
):
    student = make_student(distiller, oim=True)
    teacher = student.distiller.teacher
    before = copy.deepcopy(tensors_of(teacher))
    ours = copy.deepcopy(dict(student.named_parameters()))
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01, momentum=0.9)
    for seed in range(3):
        student.train()
        assert not any(m.training for m in teacher.model.modules())
        torch.manual_seed(seed)
        total, _ = student.parse_losses(student.loss(*make_batch(student)))
        optimizer.zero_grad()
        total.backward()
        assert all(p.grad is None for p in teacher.model.parameters())
        optimizer.step()
    after = tensors_of(teacher)
    assert len(after) == len(before) > 100
    for name, value in before.items():
        assert torch.equal(after[name], value), name
    for name, parameter in student.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert not torch.equal(parameter, ours[name]), name


def test_what_is_only_logged_is_not_in_the_sum(distiller):
    student = make_student(distiller)
    losses = step(student)
    total, logged = student.parse_losses(losses)
    terms = [value for key, value in losses.items() if key.startswith('loss')]
    assert len(terms) == 4 + 5
    torch.testing.assert_close(total, sum(terms))
    for key in ('kd_rpn_active', 'kd_rcn_active', 'kd_adapter_norm'):
        assert logged[key] == losses[key]
        assert not losses[key].requires_grad
    assert logged['kd_adapter_norm'] > 0


def test_the_losses_handed_over_are_not_changed(distiller):
    student = make_student(distiller)
    told, returned = record(student), step(student)
    handed = told[0][-1]
    assert set(handed) == STOCK
    half = 0.5 * handed['loss_cls']
    assert torch.equal(returned['loss_cls'], half)


def test_images_without_people_train(distiller):
    student = make_student(distiller)
    losses = step(student, make_batch(student, [([],), ([],)]))
    for stage in ('rpn', 'rcn'):
        assert losses[f'loss_kd_{stage}_bbox'] == 0
        assert losses[f'kd_{stage}_active'] == 0
        assert losses[f'loss_kd_{stage}_cls'] > 0
    total, _ = student.parse_losses(losses)
    total.backward()
    for name, parameter in student.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_step_without_any_roi_trains(distiller):
    student = make_student(
        distiller, **{'train_cfg.rpn_proposal.min_bbox_size': 10_000}
    )
    student.roi_head.shared_head.eval()
    losses = step(student, make_batch(student, [([],), ([],)]))
    assert losses['loss_kd_rcn_cls'] == losses['loss_kd_rcn_bbox'] == 0
    total, _ = student.parse_losses(losses)
    total.backward()
    assert total.isfinite()


def test_what_is_saved_is_the_plain_student(distiller):
    student = make_student(distiller, oim=True)
    student.parse_losses(step(student))[0].backward()
    plain = make_student(None, oim=True, seed=2)
    missing, unexpected = plain.load_state_dict(student.state_dict())
    assert (missing, unexpected) == ([], [])
    found = []
    for model in (student.eval(), plain.eval()):
        data = batch(model, scene(PEOPLE, seed=3), training=False)
        (sample,) = model.predict(*data)
        found.append(sample.pred_instances)
    assert len(found[0])
    for field in ('bboxes', 'scores', 'embeddings'):
        assert torch.equal(found[0][field], found[1][field])


def test_testing_needs_no_teacher(distiller):
    student = make_student(distiller, load=False).eval()
    data = batch(student, scene(PEOPLE), training=False)
    (sample,) = student.predict(*data)
    assert len(sample.pred_instances)


def test_mixed_precision_is_finite_and_compares_in_float32(distiller):
    student = make_student(distiller, oim=True)
    told = record(student)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = step(student)
    _, _, feats, anchors, rois, _ = told[0]
    assert {feats[0].dtype, rois.logits.dtype} == {torch.bfloat16}
    stages = {key for key in losses if key.startswith('loss_kd')}
    assert {losses[key].dtype for key in stages} == {torch.float32}
    total, _ = student.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    assert all(p.grad.isfinite().all() for p in student.parameters())
    teacher = student.distiller.teacher
    with torch.autocast('cpu', dtype=torch.bfloat16):
        taught = teacher(told[0][0], anchors.where, rois.where)
    options = dict(T=10.0, mu=0.5, background_weight=1.0, margin=0, weight=0.5)
    for stage, boxes, answer in (
        ('rpn', anchors, taught.rpn),
        ('rcn', rois, taught.rcn),
    ):
        soft, bounded, _ = stage_slowly(boxes, *answer, options)
        for name, value in (('cls', soft), ('bbox', bounded)):
            torch.testing.assert_close(
                losses[f'loss_kd_{stage}_{name}'].double(),
                value,
                rtol=1e-5,
                atol=1e-7,
            )


def embedding_distiller(folder, parts, depth=18, changes=None, **options):
    """Taught by a whole network, whose embeddings may have another size."""
    teacher = network_config(depth, oim=True, **(changes or {}))
    return distiller_config(folder, teacher, parts=parts, **options)


def on_embeddings_slowly(student, told):
    """Both terms of a step, of the embeddings of the RoIs one by one."""
    ((inputs, _, _, _, rois, _),) = told
    model = student.distiller.teacher.model
    with torch.no_grad():
        feats = model.extract_feat(inputs)
        theirs = model.roi_head.oim_head(
            model.roi_head.pool(feats, rois.where)
        )
    shown = [i for i, shows in enumerate(rois.positive) if shows]
    assert 4 <= len(shown) < len(rois.where)
    embedding = relation = 0.0
    for i in shown:
        if rois.embeddings.shape == theirs.shape:
            embedding += 1 - rois.embeddings[i].double() @ theirs[i].double()
        for j in shown:
            apart = [
                x[i].double() @ x[j].double()
                for x in (rois.embeddings, theirs)
            ]
            relation += F.smooth_l1_loss(*apart)
    pairs = len(shown) * (len(shown) - 1)
    return embedding / len(shown), relation / pairs


@pytest.mark.parametrize('rcn', [True, False])
def test_terms_on_embeddings_are_those_computed_by_hand(rcn, tmp_path):
    student = make_student(
        embedding_distiller(
            tmp_path,
            ON_EMBEDDINGS + ['rcn'] * rcn,
            depth=50,
            embedding=dict(loss_weight=0.3),
            relation=dict(loss_weight=0.7),
        ),
        oim=True,
    )
    told, losses = record(student), step(student)
    expected = on_embeddings_slowly(student, told)
    keys = {'loss_kd_embedding', 'loss_kd_relation'}
    assert set(losses) == STOCK | {'loss_oim'} | keys | (
        KEYS['rcn'] if rcn else set()
    )
    for part, weight, value in zip(
        ON_EMBEDDINGS, (0.3, 0.7), expected, strict=True
    ):
        torch.testing.assert_close(
            losses[f'loss_kd_{part}'].double(),
            weight * value,
            rtol=1e-5,
            atol=1e-7,
        )
        assert value > 1e-3


@pytest.mark.parametrize('part', ON_EMBEDDINGS)
def test_a_switch_adds_one_loss_that_reaches_the_student_alone(part, tmp_path):
    student = make_student(embedding_distiller(tmp_path, [part]), oim=True)
    plain = make_student(None, oim=True)
    plain.load_state_dict(student.state_dict())
    losses, stock = step(student), step(plain)
    assert set(losses) - set(stock) == {f'loss_kd_{part}'}
    for key, value in stock.items():
        assert torch.equal(losses[key], value), key
    losses[f'loss_kd_{part}'].backward()
    assert not list(student.distiller.parameters())
    reached = {
        name.split('.')[0] + '.' + name.split('.')[1]
        for name, parameter in student.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }
    assert {'roi_head.oim_head', 'roi_head.shared_head'} <= reached
    assert 'backbone.conv1' in reached
    assert not reached & {'roi_head.bbox_head', 'rpn_head.rpn_cls'}
    teacher = student.distiller.teacher.model
    assert all(p.grad is None for p in teacher.parameters())
    # a BatchNorm of the embedding has seen the step once
    for model in (student, plain):
        assert model.roi_head.oim_head.norm.num_batches_tracked == 1
    assert torch.equal(
        student.roi_head.oim_head.norm.running_mean,
        plain.roi_head.oim_head.norm.running_mean,
    )


def test_the_embeddings_of_the_step_are_those_of_the_oim_loss(
    tmp_path, monkeypatch
):
    student = make_student(
        embedding_distiller(tmp_path, ON_EMBEDDINGS), oim=True
    )
    head, told = student.roi_head.oim_head, record(student)
    compared = count_calls(monkeypatch, head.loss_oim, 'forward')
    embedded = count_calls(monkeypatch, head, 'forward')
    step(student)
    assert len(embedded) == 1
    ((embeddings, *_),) = compared
    assert told[0][4].embeddings is embeddings
    assert told[0][3].embeddings is None  # anchors have none


@pytest.mark.parametrize('oim', [True, False])
def test_by_default_nobody_is_embedded_by_the_teacher(
    oim, tmp_path, monkeypatch
):
    student = make_student(
        distiller_config(tmp_path, network_config(oim=True)), oim=oim
    )
    head = student.distiller.teacher.model.roi_head.oim_head
    embedded = count_calls(monkeypatch, head, 'forward')
    losses = step(student)
    assert not embedded
    assert not {'loss_kd_embedding', 'loss_kd_relation'} & set(losses)


@pytest.mark.parametrize('part', ON_EMBEDDINGS)
def test_a_detector_cannot_teach_embeddings(part):
    with pytest.raises(ValueError, match='no oim_head') as caught:
        KnowledgeDistiller(
            teacher=network_config(),
            checkpoint='never.pth',
            student_channels=32,
            parts=['rpn', part],
        )
    message = str(caught.value)
    assert message.startswith('model.distiller.teacher is a detector')
    assert f"['{part}'] of model.distiller.parts" in message


@pytest.mark.parametrize('part', ON_EMBEDDINGS)
def test_a_detector_cannot_be_taught_embeddings(part, tmp_path):
    student = make_student(embedding_distiller(tmp_path, [part]), load=False)
    with pytest.raises(ValueError, match=r'^model\.roi_head has no oim_head'):
        student.distiller.load_teacher(student)


def test_embeddings_of_another_size_have_relations_only(tmp_path):
    student = make_student(
        embedding_distiller(tmp_path, ['embedding'], changes=LARGER),
        oim=True,
        load=False,
    )
    match = r'student have 8 values, .* 12: .*oim_head\.feat_dim'
    with pytest.raises(ValueError, match=match):
        student.distiller.load_teacher(student)
    student = make_student(
        embedding_distiller(tmp_path, ['relation'], changes=LARGER), oim=True
    )
    told, losses = record(student), step(student)
    _, expected = on_embeddings_slowly(student, told)
    assert losses['loss_kd_relation'].item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_images_without_people_have_no_embeddings_to_teach(tmp_path):
    student = make_student(
        embedding_distiller(tmp_path, ON_EMBEDDINGS), oim=True
    )
    losses = step(student, make_batch(student, [([],), ([],)]))
    assert losses['loss_kd_embedding'] == losses['loss_kd_relation'] == 0
    total, _ = student.parse_losses(losses)
    total.backward()
    assert total.isfinite()


def test_embeddings_are_compared_in_float32_in_mixed_precision(tmp_path):
    student = make_student(
        embedding_distiller(tmp_path, ON_EMBEDDINGS), oim=True
    )
    told = record(student)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = step(student)
        assert told[0][2][0].dtype == torch.bfloat16
        expected = on_embeddings_slowly(student, told)
    for part, value in zip(ON_EMBEDDINGS, expected, strict=True):
        assert losses[f'loss_kd_{part}'].dtype == torch.float32
        torch.testing.assert_close(
            losses[f'loss_kd_{part}'].double(), value, rtol=1e-4, atol=1e-6
        )


def terms_of_a_training(folder, weight):
    """The two terms, unweighted, at each step of a short training."""
    options = {part: dict(loss_weight=weight) for part in ON_EMBEDDINGS}
    student = make_student(
        embedding_distiller(folder, ON_EMBEDDINGS, **options), oim=True
    )
    optim = build_optim_wrapper(
        student, dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
    )
    scenes = [scene(*args, seed=s) for s, args in enumerate(SCENES)]
    logs = []
    for _ in range(12):
        torch.manual_seed(5)
        images, samples = zip(*copy.deepcopy(scenes), strict=True)
        data = dict(inputs=list(images), data_samples=list(samples))
        logs.append(student.train_step(data, optim))
    return {
        part: [log[f'loss_kd_{part}'].item() / weight for log in logs]
        for part in ON_EMBEDDINGS
    }


@pytest.mark.slow
def test_a_short_training_lowers_the_terms_on_embeddings(tmp_path):
    taught = terms_of_a_training(tmp_path, 5.0)
    left = terms_of_a_training(tmp_path, 1e-6)
    for part in ON_EMBEDDINGS:
        values, others = taught[part], left[part]
        assert values[0] == pytest.approx(others[0], rel=1e-4)
        assert sum(values[-3:]) < 0.5 * sum(values[:3])
        assert sum(values[-3:]) < 0.5 * sum(others[-3:])
