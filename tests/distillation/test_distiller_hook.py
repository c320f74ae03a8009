from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from mmps.checkpoints import CheckpointError
from mmps.distillation import DistillerHook
from tests.distillation.networks import (
    distiller_config,
    make_student,
    network,
    network_config,
    save_teacher,
)
from tests.distillation.runs import load, run_of, same
from tests.engine import toy

ADAPTER = {'hint.adapter.weight', 'hint.adapter.bias'}


@MODEL_WRAPPERS.register_module()
class StudentWrapper(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def student_config(distiller):
    cfg = network_config(oim=True)
    if distiller is not None:
        cfg.distiller = distiller
    return cfg


@pytest.mark.slow
def test_a_resumed_run_equals_the_unbroken_one(tmp_path):
    model = student_config(distiller_config(tmp_path))
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    runner = toy.run(run_of(whole, model))
    stop = dict(custom_hooks=[dict(type='StopHook', epoch=1)])
    with pytest.raises(toy.Stop):
        toy.run(run_of(broken, model, **stop))
    assert not (broken / 'epoch_2.pth').exists()
    teacher = model.distiller.checkpoint
    model.distiller.checkpoint = save_teacher(tmp_path, network_config(), 8)
    with pytest.raises(CheckpointError, match='is not the teacher'):
        toy.run(run_of(broken, model, resume=True))
    # of the same weights in another place
    model.distiller.checkpoint = str(tmp_path / 'moved.pth')
    Path(teacher).rename(model.distiller.checkpoint)
    toy.run(run_of(broken, model, resume=True))

    first, last = load(broken / 'epoch_1.pth'), load(broken / 'epoch_2.pth')
    expected = load(whole / 'epoch_2.pth')
    taught_by = [c['distiller'].pop('teacher') for c in (first, last)]
    assert [t['checkpoint'] for t in taught_by] == [
        teacher,
        model.distiller.checkpoint,
    ]
    assert taught_by[0]['fingerprint'] == taught_by[1]['fingerprint']
    del expected['distiller']['teacher']
    for entry in ('state_dict', 'optimizer', 'distiller'):
        assert same(last[entry], expected[entry]), entry
        assert not same(first[entry], last[entry]), entry
    assert last['distiller'].keys() == ADAPTER
    parameters = dict(runner.model.named_parameters())
    assert len(last['optimizer']['state']) == len(parameters)
    for name, value in expected['distiller'].items():
        assert torch.equal(value, parameters[f'distiller.{name}'].detach())
    plain = MODELS.build(student_config(None))
    missing, unexpected = plain.load_state_dict(expected['state_dict'])
    assert (missing, unexpected) == ([], [])


@pytest.mark.slow
def test_a_plain_run_neither_needs_nor_saves_an_adapter(tmp_path):
    toy.run(run_of(tmp_path, student_config(None)))
    checkpoint = load(tmp_path / 'epoch_2.pth')
    assert 'distiller' not in checkpoint
    # and a run of the same config with a teacher cannot go on from it
    model = student_config(distiller_config(tmp_path))
    with pytest.raises(CheckpointError) as caught:
        toy.run(
            run_of(
                tmp_path,
                model,
                resume=True,
                load_from=str(tmp_path / 'epoch_1.pth'),
            )
        )
    assert caught.value.file.endswith('epoch_1.pth')
    assert 'hint.adapter.weight' in caught.value.problem
    assert 'load_from' in caught.value.hint


def fake_runner(model, resume=False):
    return SimpleNamespace(
        model=model, _resume=resume, _load_from='some/epoch_1.pth'
    )


def test_the_adapter_goes_through_a_checkpoint(tmp_path):
    distiller, hook = distiller_config(tmp_path), DistillerHook()
    ours = make_student(distiller, seed=1)
    other = make_student(distiller, seed=2, load=False)
    checkpoint = {}
    hook.before_save_checkpoint(fake_runner(ours), checkpoint)
    entry = checkpoint['distiller']
    assert entry.keys() == {*ADAPTER, 'teacher'}
    saved = {k: entry[k].clone() for k in ADAPTER}
    with torch.no_grad():
        for parameter in ours.distiller.parameters():
            parameter.add_(1)
    assert all(same(entry[k], saved[k]) for k in ADAPTER)  # not a view
    rest = {k: v.clone() for k, v in other.state_dict().items()}
    hook.after_load_checkpoint(fake_runner(other, resume=True), checkpoint)
    assert same(dict(other.distiller.named_parameters()), saved)
    assert same(dict(other.state_dict()), rest)


def test_a_new_run_from_old_weights_starts_its_own_adapter(tmp_path):
    student = make_student(distiller_config(tmp_path), load=False)
    before = student.distiller.hint.adapter.weight.detach().clone()
    zeros = {
        name: torch.zeros_like(parameter)
        for name, parameter in student.distiller.named_parameters()
    }
    for checkpoint in ({}, {'distiller': zeros}):
        DistillerHook().after_load_checkpoint(fake_runner(student), checkpoint)
        assert torch.equal(student.distiller.hint.adapter.weight, before)


@pytest.mark.parametrize(
    ('ours', 'theirs'), [(18, None), (None, 18), (18, 50)]
)
def test_an_adapter_that_does_not_fit_is_refused(ours, theirs, tmp_path):
    hook, checkpoint, students = DistillerHook(), {}, []
    for depth in (ours, theirs):
        parts = ['rpn'] if depth is None else ['hint']
        distiller = distiller_config(
            tmp_path, network_config(depth or 18), parts=parts
        )
        students.append(make_student(distiller))
    hook.before_save_checkpoint(fake_runner(students[1]), checkpoint)
    with pytest.raises(CheckpointError, match=r'some/epoch_1\.pth'):
        hook.after_load_checkpoint(
            fake_runner(students[0], resume=True), checkpoint
        )


def test_a_part_without_weights_resumes_from_either(tmp_path):
    distiller = distiller_config(tmp_path, parts=['rpn', 'rcn'])
    student, checkpoint = make_student(distiller), {}
    hook = DistillerHook()
    hook.before_save_checkpoint(fake_runner(student), checkpoint)
    assert checkpoint['distiller'].keys() == {'teacher'}
    for saved in (checkpoint, {'distiller': {}}, {}):
        hook.after_load_checkpoint(fake_runner(student, resume=True), saved)


def resumed(student, checkpoint):
    """What mmengine does: read the checkpoint, then start training."""
    hook, runner = DistillerHook(), fake_runner(student, resume=True)
    hook.after_load_checkpoint(runner, checkpoint)
    hook.before_train(runner)


def checkpoint_of(student):
    checkpoint = {}
    DistillerHook().before_save_checkpoint(fake_runner(student), checkpoint)
    return checkpoint


def test_a_run_is_not_resumed_with_another_teacher(tmp_path):
    distiller = distiller_config(tmp_path)
    checkpoint = checkpoint_of(make_student(distiller))
    other = save_teacher(tmp_path, network_config(), seed=8)
    student = make_student({**distiller, 'checkpoint': other}, load=False)
    with pytest.raises(CheckpointError) as caught:
        resumed(student, checkpoint)
    assert caught.value.file == other
    problem = caught.value.problem
    assert distiller['checkpoint'] in problem
    assert 'some/epoch_1.pth' in problem
    assert checkpoint['distiller']['teacher']['fingerprint'] in problem
    assert student.distiller.teacher.fingerprint in problem
    assert 'load_from' in caught.value.hint
    # a new run from these weights has the teacher that it likes
    hook, runner = DistillerHook(), fake_runner(student)
    hook.after_load_checkpoint(runner, checkpoint)
    hook.before_train(runner)


def test_the_same_teacher_in_another_file_is_the_same(tmp_path):
    distiller = distiller_config(tmp_path)
    checkpoint = checkpoint_of(make_student(distiller))
    moved = tmp_path / 'elsewhere.pth'
    Path(distiller['checkpoint']).rename(moved)
    distiller['checkpoint'] = str(moved)
    resumed(make_student(distiller, load=False), checkpoint)


def test_a_teacher_with_other_embeddings_is_another_teacher(tmp_path):
    distiller = distiller_config(
        tmp_path, network_config(oim=True), parts=['embedding', 'relation']
    )
    checkpoint = checkpoint_of(make_student(distiller, oim=True))
    assert checkpoint['distiller'].keys() == {'teacher'}
    weights = load(distiller['checkpoint'])['state_dict']
    for key, same_teacher in (
        ('roi_head.oim_head.loss_oim.table', True),
        ('roi_head.oim_head.fc.weight', False),
    ):
        changed = {**weights, key: weights[key] + 0.1}
        path = tmp_path / f'{key}.pth'
        torch.save({'state_dict': changed}, path)
        student = make_student(
            {**distiller, 'checkpoint': str(path)}, oim=True, load=False
        )
        if same_teacher:
            resumed(student, checkpoint)
            continue
        with pytest.raises(CheckpointError, match='is not the teacher'):
            resumed(student, checkpoint)


@pytest.mark.parametrize('entry', ['older', 'none'])
def test_a_checkpoint_that_does_not_tell_its_teacher_warns(
    entry, tmp_path, monkeypatch
):
    parts = ['hint'] if entry == 'older' else ['rpn']
    distiller = distiller_config(tmp_path, parts=parts)
    student = make_student(distiller)
    checkpoint = checkpoint_of(student)
    del checkpoint['distiller']['teacher']
    warnings = []
    monkeypatch.setattr(
        'mmps.distillation.distiller_hook.print_log',
        lambda message, *args, **kwargs: warnings.append(message),
    )
    resumed(student, checkpoint if entry == 'older' else {})
    (warning,) = warnings
    assert warning.startswith('some/epoch_1.pth does not name its teacher')
    assert distiller['checkpoint'] in warning


def test_a_model_without_distiller_is_left_alone():
    model, checkpoint = network(network_config(), seed=0), {}
    before = {k: v.clone() for k, v in model.state_dict().items()}
    runner, hook = fake_runner(model, resume=True), DistillerHook()
    hook.before_train(runner)
    hook.before_save_checkpoint(runner, checkpoint)
    hook.after_load_checkpoint(runner, {'distiller': {'a': torch.ones(1)}})
    assert not checkpoint
    assert same(dict(model.state_dict()), before)


def test_the_teacher_is_read_before_training_also_inside_a_wrapper(tmp_path):
    student = make_student(distiller_config(tmp_path), load=False)

    DistillerHook().before_train(fake_runner(StudentWrapper(student)))
    assert student.distiller.teacher is not None
    assert not student.distiller.teacher.model.training
