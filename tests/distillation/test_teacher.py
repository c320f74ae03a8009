import copy
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmps.checkpoints import CheckpointError
from mmps.distillation import Teacher
from mmps.distillation.teacher import (
    check_embeddings,
    check_pair,
    load_teacher,
    teacher_config,
)
from mmps.errors import InputError
from mmps.zoo.publish import released_state, write_weights
from tests.distillation.networks import (
    network,
    network_config,
    save_teacher,
)
from tests.models.build import build, model_config
from tests.zoo import small as zoo

ROIS = torch.tensor(
    [[0, 10, 10, 40, 90], [1, 60, 5, 100, 95], [0, 0, 0, 20, 30.5]]
)


def images(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 96, 128, generator=generator)


def test_it_is_frozen_and_copies_share_it():
    model = network(network_config(), seed=0).train()
    teacher = Teacher(model)
    assert teacher.model is model
    assert not any(module.training for module in model.modules())
    assert not any(p.requires_grad for p in model.parameters())
    assert copy.deepcopy(teacher) is teacher
    assert copy.deepcopy([teacher])[0].model is model


@pytest.mark.parametrize('depth', [18, 50])
def test_answers_are_those_of_its_heads_at_the_given_places(depth):
    model = network(network_config(depth), seed=0)
    teacher, inputs = Teacher(model), images()
    where = torch.tensor([0, 4, 5, 239, 240, 301, 477, 12])
    taught = teacher(inputs, where, ROIS)
    feats = model.extract_feat(inputs)
    (scores,), (deltas,) = model.rpn_head(feats)
    batch, bases, height, width = scores.shape
    assert (batch, bases, height, width) == (2, 5, 6, 8)
    for row, place in enumerate(where.tolist()):
        place, a = divmod(place, bases)
        place, j = divmod(place, width)
        b, i = divmod(place, height)
        assert taught.rpn[0][row].tolist() == [scores[b, a, i, j]]
        expected = deltas[b, 4 * a : 4 * a + 4, i, j]
        assert torch.equal(taught.rpn[1][row], expected)
    assert torch.equal(taught.feats, feats[0])
    logits, boxes = model.roi_head.bbox_head(model.roi_head.pool(feats, ROIS))
    assert taught.rcn[0].shape == (3, 2)
    assert torch.equal(taught.rcn[0], logits)
    assert torch.equal(taught.rcn[1], boxes)
    answers = (taught.feats, *taught.rpn, *taught.rcn)
    assert not any(answer.requires_grad for answer in answers)


@pytest.mark.parametrize('name', ['oim', 'nae', 'seqnet', 'oimnetpp'])
def test_every_network_of_the_zoo_can_teach(name):
    """What it says of boxes, and its embeddings of them."""
    model = build(model_config(f'{name}/{name}_r18_synth'))
    teacher, inputs = Teacher(model), images()
    people = torch.tensor([True, False, True])
    told = teacher(inputs, None, ROIS, people)
    head, feats = model.roi_head, model.extract_feat(inputs)
    for answer, expected in zip(
        told.rcn, head.box_branch(head.pool(feats, ROIS)), strict=True
    ):
        assert torch.equal(answer, expected)
    embeddings = head.oim_head(head.reid_vectors(feats, ROIS))[people]
    for found in (told, teacher(inputs, None, ROIS, people, score=False)):
        torch.testing.assert_close(found.embeddings, embeddings)
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1, 1])


def test_a_student_that_embeds_other_boxes_is_refused():
    model = build(model_config('seqnet/seqnet_r18_synth'))
    with pytest.raises(ValueError, match='SequentialRoIHead embeds other'):
        check_embeddings(model, model, same_size=False)


def test_what_is_not_asked_for_is_not_computed(monkeypatch):
    teacher = Teacher(network(network_config(), seed=0))

    def refuse(*args):
        raise AssertionError

    monkeypatch.setattr(teacher.model.rpn_head, 'forward', refuse)
    monkeypatch.setattr(teacher.model.roi_head, 'pool', refuse)
    taught = teacher(images())
    assert taught.rpn is taught.rcn is None
    assert taught.feats.shape == (2, 32, 6, 8)


@pytest.mark.parametrize('score', [True, False])
def test_people_are_embedded_as_its_head_does(score, monkeypatch):
    model = network(network_config(oim=True), seed=0)
    teacher, inputs = Teacher(model), images()
    feats = model.extract_feat(inputs)
    head, pooled_rois = model.roi_head, []
    vectors = head.pool(feats, ROIS)
    expected = head.oim_head(vectors)
    pool = head.pool
    monkeypatch.setattr(
        head, 'pool', lambda f, r: pooled_rois.append(r) or pool(f, r)
    )
    people = torch.tensor([True, False, True])
    taught = teacher(inputs, rois=ROIS, people=people, score=score)
    torch.testing.assert_close(taught.embeddings, expected[[0, 2]])
    torch.testing.assert_close(taught.embeddings.norm(dim=1), torch.ones(2))
    assert not taught.embeddings.requires_grad
    # conv5 runs once, on no more RoIs than are asked about
    assert [len(rois) for rois in pooled_rois] == [3 if score else 2]
    if score:
        assert torch.equal(taught.rcn[0], head.bbox_head(vectors)[0])
    else:
        assert taught.rcn is None


def test_without_people_nobody_is_embedded(monkeypatch):
    teacher = Teacher(network(network_config(oim=True), seed=0))

    def refuse(*args):
        raise AssertionError

    monkeypatch.setattr(teacher.model.roi_head.oim_head, 'forward', refuse)
    taught = teacher(images(), rois=ROIS)
    assert taught.embeddings is None
    assert len(taught.rcn[0]) == 3


def test_no_anchor_and_no_roi_have_no_answers():
    teacher = Teacher(network(network_config(), seed=0))
    none = torch.zeros(0, dtype=torch.long)
    taught = teacher(images(), none, torch.zeros(0, 5))
    assert [len(x) for x in (*taught.rpn, *taught.rcn)] == [0] * 4


@pytest.mark.parametrize(
    ('changes', 'names'),
    [
        (
            {'rpn_head.anchor_generator.strides': [8]},
            ['stride of the anchors', 'anchors (x1 y1 x2 y2)'],
        ),
        (
            {'rpn_head.anchor_generator.scales': [1.6, 2.4, 3.6, 5.4, 9.0]},
            ['anchors (x1 y1 x2 y2)'],
        ),
        (
            {'rpn_head.anchor_generator.ratios': [2.0]},
            ['anchors (x1 y1 x2 y2)'],
        ),
        (
            {'roi_head.bbox_roi_extractor.stride': 8},
            ['stride of the RoI features'],
        ),
        (
            {'rpn_head.bbox_coder.target_stds': [1.0, 1.0, 2.0, 2.0]},
            ['coding of RPN boxes'],
        ),
        (
            {'rpn_head.bbox_coder.target_means': [0.0, 0.0, 0.1, 0.0]},
            ['coding of RPN boxes'],
        ),
        (
            {'roi_head.bbox_head.bbox_coder.target_stds': [0.1] * 4},
            ['coding of RoI boxes'],
        ),
        ({'rpn_head.loss_cls.use_sigmoid': False}, ['sigmoid objectness']),
        ({'roi_head.bbox_head.num_classes': 2}, ['classes']),
        (
            {'roi_head.bbox_head.reg_class_agnostic': False},
            ['one box for all classes'],
        ),
        ({'data_preprocessor.mean': [0.0, 0.0, 0.0]}, ['mean of the input']),
        (
            {'data_preprocessor.std': [58.395, 57.12, 1.0]},
            ['standard deviation of the input'],
        ),
        ({'data_preprocessor.bgr_to_rgb': False}, ['order of the colours']),
        (
            {
                'data_preprocessor.mean': [0.0, 0.0, 0.0],
                'data_preprocessor.bgr_to_rgb': False,
            },
            ['mean of the input', 'order of the colours'],
        ),
    ],
)
def test_every_setting_that_differs_is_named(changes, names):
    student = MODELS.build(network_config())
    teacher = MODELS.build(network_config(**changes))
    with pytest.raises(ValueError, match='they differ in') as caught:
        check_pair(student, teacher)
    lines = str(caught.value).splitlines()[1:-1]
    assert [line.split(': student')[0].strip() for line in lines] == names
    assert all(', teacher ' in line for line in lines)


def test_both_values_are_in_the_message():
    student = MODELS.build(network_config())
    changes = {'roi_head.bbox_roi_extractor.stride': 8}
    teacher = MODELS.build(network_config(**changes))
    with pytest.raises(ValueError, match=r'student \[16\], teacher \[8\]'):
        check_pair(student, teacher)


def test_depth_width_and_identities_may_differ():
    student = MODELS.build(network_config())
    check_pair(student, student)
    check_pair(student, MODELS.build(network_config(50, oim=True)))


def test_all_weights_are_read(tmp_path):
    cfg = network_config(oim=True)
    teacher = load_teacher(teacher_config(cfg), save_teacher(tmp_path, cfg))
    expected = network(cfg, seed=7).state_dict()
    state = teacher.model.state_dict()
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(state[key], value), key


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_a_bare_or_wrapped_state_dict_is_read(prefix, tmp_path):
    cfg, path = network_config(), tmp_path / 'bare.pth'
    expected = network(cfg, seed=7).state_dict()
    torch.save({prefix + k: v for k, v in expected.items()}, path)
    teacher = load_teacher(teacher_config(cfg), str(path))
    for key, value in teacher.model.state_dict().items():
        assert torch.equal(value, expected[key]), key


def test_released_weights_are_read(tmp_path, monkeypatch):
    zoo.private_cache(monkeypatch, tmp_path)
    cfg = network_config(oim=True)
    expected = network(cfg, seed=7).state_dict()
    # published without table and queue
    memory = [key for key in expected if '.loss_oim.' in key]
    state = released_state(expected, ('roi_head.oim_head.loss_oim.',), False)
    assert len(memory) == len(expected) - len(state) > 2
    file = write_weights(state, {}, tmp_path / 'weights', 'x')
    keys = dict(Weights=file.path, SHA256=file.sha256, Size=file.size)
    zoo.write_zoo(tmp_path, zoo.entry('x', **keys), zoo.entry('y'))
    zoo.make_default(monkeypatch, tmp_path)
    teacher = load_teacher(teacher_config(cfg), 'zoo://x')
    found = teacher.model.state_dict()
    for key, value in state.items():
        assert torch.equal(found[key], value), key
    with pytest.raises(CheckpointError, match='differ in shape') as caught:
        load_teacher(teacher_config(network_config(50, oim=True)), 'zoo://x')
    assert caught.value.file == 'zoo://x'
    match = r'weights are not released\. Train it: .*model\.distiller\.ch'
    with pytest.raises(CheckpointError, match=match):
        load_teacher(teacher_config(cfg), 'zoo://y')


def test_the_fingerprint_is_that_of_the_weights_that_answer(tmp_path):
    cfg = network_config(oim=True)
    state = network(cfg, seed=7).state_dict()

    def of_file(weights):
        torch.save(weights, tmp_path / 'teacher.pth')
        path = str(tmp_path / 'teacher.pth')
        return load_teacher(teacher_config(cfg), path).fingerprint

    expected = of_file(state)
    # as published, and without the counters that old files lack
    released = released_state(state, ('roi_head.oim_head.loss_oim.',), False)
    plain = {
        f'module.{key}': value
        for key, value in released.items()
        if not key.endswith('num_batches_tracked')
    }
    assert len(plain) < len(released) < len(state)
    assert of_file(plain) == expected
    for part in ('backbone', 'rpn_head', 'roi_head.shared_head'):
        key = next(key for key in state if key.startswith(part))
        other = {**state, key: state[key].clone()}
        other[key].view(-1)[0] += 1e-3
        assert of_file(other) != expected


def test_a_missing_checkpoint_names_the_file_and_the_key(tmp_path):
    path = str(tmp_path / 'none.pth')
    with pytest.raises(CheckpointError) as caught:
        load_teacher(teacher_config(network_config()), path)
    assert caught.value.file == path
    assert path in str(caught.value)
    assert 'model.distiller.checkpoint' in str(caught.value)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / 'damaged.pth'
    path.write_bytes(b'PK\x03\x04 not a checkpoint')
    with pytest.raises(CheckpointError, match='distiller'):
        load_teacher(teacher_config(network_config()), str(path))


def test_weights_of_another_network_are_refused(tmp_path):
    path = save_teacher(tmp_path, network_config(50, oim=True))
    with pytest.raises(CheckpointError, match='differ in shape') as caught:
        load_teacher(teacher_config(network_config()), path)
    assert caught.value.file == path


def test_a_missing_config_names_the_key_and_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        teacher_config('configs/det_r18_snth.py')
    text = str(caught.value)
    key = 'model.distiller.teacher=configs/det_r18_snth.py'
    assert text.startswith(f'{key}: no such config. Did you mean ')
    assert 'configs/det/det_r18_synth.py' in text


def test_a_config_of_mmps_is_found_from_any_folder(tmp_path, monkeypatch):
    file = Path(__file__).parents[2] / 'configs/det/det_r18_synth.py'
    monkeypatch.chdir(tmp_path)
    assert teacher_config('configs/det/det_r18_synth.py') == (
        teacher_config(str(file))
    )


def test_a_config_file_is_read_from_the_working_folder(tmp_path, monkeypatch):
    cfg = network_config()
    Config(dict(model=cfg)).dump(tmp_path / 'teacher.py')
    monkeypatch.chdir(tmp_path)
    assert teacher_config('teacher.py') == cfg


def test_a_teacher_has_no_teacher_and_the_given_config_stays():
    cfg = network_config()
    cfg.distiller = dict(type='KnowledgeDistiller', teacher='of the teacher')
    assert 'distiller' not in teacher_config(cfg)
    assert cfg.distiller.teacher == 'of the teacher'


def test_a_model_without_rpn_is_refused():
    with pytest.raises(ValueError, match='is a RetinaNet without rpn_head'):
        teacher_config(dict(type='RetinaNet'))


def test_a_model_of_one_stage_is_refused():
    single = dict(
        neck=None,
        type='RPN',
        backbone=network_config().backbone,
        rpn_head=dict(network_config().rpn_head, type='RPNHead'),
        train_cfg=dict(rpn=network_config().train_cfg.rpn),
        test_cfg=dict(rpn=network_config().test_cfg.rpn),
    )
    with pytest.raises(ValueError, match='is a RPN with a NoneType'):
        load_teacher(teacher_config(single), 'never.pth')


def test_a_stock_roi_head_is_refused():
    cfg = network_config()
    cfg.type, cfg.roi_head.type = 'FasterRCNN', 'StandardRoIHead'
    cfg.rpn_head.type = 'RPNHead'
    with pytest.raises(ValueError, match='FasterRCNN with a StandardRoIHead'):
        load_teacher(teacher_config(cfg), 'never.pth')
