import json
import sys
from dataclasses import replace

import pytest
import torch

from mmps.distillation import IdentityTable, read_table
from mmps.experiments import campaign
from mmps.experiments.campaign import Campaign, Run, call, read_plan

PLAN = """
protocols: [G50]
runs:
  start:
    config: start.py
    seeds: [0]
  pairs:
    config: pairs.py
    start: start
    options: [a.b=1]
    test_options: [t=2]
  student:
    config: student.py
    teacher: pairs
    options: ["model.distiller.checkpoint={start}"]
tables:
  of pairs:
    the start: start
    with pairs: pairs
sweeps:
  weights:
    detector: start
    curves:
      no KD: {1.0: start, 0.1: pairs}
      KD: {0.1: student}
"""
FIGURES = {'G50/mAP': 0.5, 'G50/top-1': 0.75, 'G100/mAP': 0.1, 'det/AP': 0.9}


@pytest.fixture
def plan(tmp_path):
    file = tmp_path / 'plan.yml'
    file.write_text(PLAN)
    return read_plan(file)


class Calls(list):
    """Stands in for the tools: leaves behind what they would."""

    def __call__(self, tool, work, *arguments):
        self.append((tool, work.name, *arguments))
        work.mkdir(parents=True, exist_ok=True)
        if tool == 'train':
            (work / 'last_checkpoint').write_text(f'{work}/epoch_2.pth\n')
        else:
            out = arguments[arguments.index('--out') + 1]
            with open(out, 'w') as file:
                json.dump(FIGURES, file)

    def options(self, tool, folder):
        (found,) = (c for c in self if c[:2] == (tool, folder))
        return found[found.index('--cfg-options') + 1 :]


@pytest.fixture
def calls(monkeypatch):
    calls = Calls()
    monkeypatch.setattr(campaign, 'call', calls)
    return calls


def make(plan, tmp_path, **options):
    return Campaign(plan, tmp_path / 'work', tmp_path / 'results', **options)


def test_a_plan_is_read(plan):
    assert plan.protocols == ('G50',)
    assert list(plan.runs) == ['start', 'pairs', 'student']
    assert plan.runs['pairs'] == Run(
        'pairs',
        'pairs.py',
        start='start',
        options=('a.b=1',),
        test_options=('t=2',),
    )
    assert plan.tables == {
        'of pairs': {'the start': 'start', 'with pairs': 'pairs'}
    }


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('teacher: pairs', 'teachr: pairs', r"student has unknown \['teachr'"),
        (
            'teacher: pairs',
            'teacher: later',
            "'later', which must be",
        ),
        ('teacher: pairs', 'teacher: student', 'must be listed above'),
        ('{start}', '{stop}', "'stop', which must be"),
        ('teacher: pairs', 'random_table: true', 'student .* no teacher'),
        ('with pairs: pairs', 'x: pair', r"shows unknown runs \['pair'"),
        ('tables:', 'table:', r"unknown \['table'"),
        ('0.1: student', '0.1: stud', r"weights shows unknown runs \['stud'"),
        ('detector: start', 'detector: x', r"shows unknown runs \['x'"),
    ],
)
def test_a_mistake_in_a_plan_is_named(tmp_path, old, new, message):
    file = tmp_path / 'plan.yml'
    file.write_text(PLAN.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_plan(file)


def test_an_address_stands_in_for_a_run(tmp_path, calls):
    file = tmp_path / 'plan.yml'
    file.write_text(
        PLAN.replace('teacher: pairs', 'teacher: zoo://table').replace(
            'start: start\n    options', 'start: zoo://weights\n    options'
        )
    )
    campaign = Campaign(read_plan(file), tmp_path / 'work', tmp_path)
    campaign.run_all([0], only=['pairs', 'student'], test=False)
    assert [name for _, name, *_ in calls] == [
        'pairs_seed0',
        'start_seed0',  # an option of the student names it
        'student_seed0',
    ]
    options = calls.options('train', 'pairs_seed0')
    assert 'load_from=zoo://weights' in options
    options = calls.options('train', 'student_seed0')
    assert 'custom_hooks.0.teacher=zoo://table' in options


def test_a_run_starts_from_and_learns_from_others(plan, calls, tmp_path):
    make(plan, tmp_path, amp=True).run_all([0, 1])
    names = [(c[0], c[1]) for c in calls]
    assert names == [
        ('train', 'start_seed0'),
        ('test', 'start_seed0'),
        ('train', 'pairs_seed0'),
        ('test', 'pairs_seed0'),
        ('train', 'student_seed0'),
        ('test', 'student_seed0'),
        ('train', 'pairs_seed1'),
        ('test', 'pairs_seed1'),
        ('train', 'student_seed1'),
        ('test', 'student_seed1'),
    ]
    work = tmp_path / 'work'
    options = calls.options('train', 'pairs_seed1')
    assert 'randomness.seed=1' in options
    assert 'a.b=1' in options
    assert 't=2' not in options
    assert f'load_from={work}/start_seed0/epoch_2.pth' in options
    assert calls.options('test', 'pairs_seed1') == ('a.b=1', 't=2')
    teacher = f'custom_hooks.0.teacher={work}/pairs_seed1/epoch_2.pth'
    assert teacher in calls.options('train', 'student_seed1')
    detector = f'model.distiller.checkpoint={work}/start_seed0/epoch_2.pth'
    assert detector in calls.options('train', 'student_seed1')
    test = next(c for c in calls if c[:2] == ('test', 'student_seed1'))
    assert '--cfg-options' not in test
    assert all('--amp' in c for c in calls if c[0] == 'train')
    test = next(c for c in calls if c[:2] == ('test', 'start_seed0'))
    assert test[2:4] == ('start.py', f'{work}/start_seed0/epoch_2.pth')


def test_a_control_learns_against_random_rows(tmp_path, calls, monkeypatch):
    file = tmp_path / 'plan.yml'
    file.write_text(
        PLAN.replace('teacher: pairs', 'teacher: pairs\n    random_table: yes')
    )
    rows = torch.eye(3)
    taught = IdentityTable(rows, ('a', 'b', 'c'), 'epoch_2.pth', 'drawn')
    read = []
    monkeypatch.setattr(
        campaign, 'read_table', lambda path: read.append(path) or taught
    )
    make(read_plan(file), tmp_path).run_all([0, 1])
    work = tmp_path / 'work'
    assert read == [work / f'pairs_seed{i}/epoch_2.pth' for i in (0, 1)]
    tables = [work / f'student_seed{i}/random_lut.pth' for i in (0, 1)]
    one, other = map(read_table, tables)
    assert one.names == other.names == taught.names
    assert not torch.allclose(one.rows, other.rows)
    for seed, path in enumerate(tables):
        options = calls.options('train', f'student_seed{seed}')
        assert f'custom_hooks.0.teacher={path}' in options


def test_what_is_done_is_not_repeated(plan, calls, tmp_path):
    make(plan, tmp_path).run_all([0])
    calls.clear()
    make(plan, tmp_path).run_all([0])
    assert calls == []


def test_training_can_come_first(plan, calls, tmp_path):
    make(plan, tmp_path).run_all([0], test=False)
    assert {c[0] for c in calls} == {'train'}
    calls.clear()
    make(plan, tmp_path).run_all([0])
    assert [c[0] for c in calls] == ['test'] * 3


def test_a_run_may_be_there_for_others_alone(plan, calls, tmp_path):
    plan.runs['pairs'] = replace(plan.runs['pairs'], test=False)
    make(plan, tmp_path).run_all([0])
    tested = [c[1] for c in calls if c[0] == 'test']
    assert tested == ['start_seed0', 'student_seed0']
    assert len(calls) == 5


def test_lost_weights_are_trained_again_for_who_needs_them(
    plan, calls, tmp_path
):
    make(plan, tmp_path).run_all([0], only=['start'])
    calls.clear()
    elsewhere = Campaign(plan, tmp_path / 'new', tmp_path / 'results')
    elsewhere.run_all([0], only=['start', 'pairs'])
    assert [(c[0], c[1]) for c in calls] == [
        ('train', 'start_seed0'),  # its result is there, its weights not
        ('train', 'pairs_seed0'),
        ('test', 'pairs_seed0'),
    ]


def test_a_result_says_what_it_is_of(plan, calls, tmp_path):
    result = make(plan, tmp_path).run('pairs', 2)
    file = tmp_path / 'results' / 'pairs_seed2.json'
    assert json.loads(file.read_text()) == result
    assert result['figures'] == {
        key: FIGURES[key] for key in ('G50/mAP', 'G50/top-1', 'det/AP')
    }
    assert (result['run'], result['seed']) == ('pairs', 2)
    assert result['options'] == ['a.b=1']
    assert result['test_options'] == ['t=2']
    assert result['seconds'].keys() == {'training', 'test'}
    assert result['commit'].keys() == {'training', 'test'}
    assert {p.name for p in file.parent.iterdir()} == {file.name}


def test_an_unknown_run_is_named(plan, tmp_path):
    with pytest.raises(ValueError, match=r"no runs \['pair'\]"):
        make(plan, tmp_path).run_all([0], only=['pair'])


def test_a_failing_command_names_its_log(tmp_path):
    with pytest.raises(SystemExit, match=r'mmps lut failed, see .*\.log'):
        call('lut', tmp_path / 'x', 'no_such_word')
    assert 'no_such_word' in (tmp_path / 'x' / 'lut.log').read_text()


def test_a_command_that_was_stopped_has_not_failed(
    tmp_path, monkeypatch, capsys
):
    started = []

    def stop(program, **options):
        started.append(program)
        return 143

    monkeypatch.setattr(campaign.CHILDREN, 'run', stop)
    with pytest.raises(SystemExit) as stopped:
        call('train', tmp_path / 'x', 'config', '--amp')
    assert stopped.value.code == 143
    assert 'train was stopped by SIGTERM (' in capsys.readouterr().err
    program = [sys.executable, '-m', 'mmps', 'train', 'config', '--amp']
    assert started == [[*program, '--work-dir', str(tmp_path / 'x')]]


def test_tables_show_what_is_there(plan, calls, tmp_path):
    campaign = make(plan, tmp_path)
    campaign.run('pairs', 0)
    campaign.run('pairs', 1)
    lines = campaign.tables().splitlines()
    assert lines[0] == 'of pairs'
    assert lines[-2].startswith('| the start | 0 | not run ')
    assert lines[-1].startswith('| with pairs | 2 | 50.0 ± 0.0 | 75.0 ± 0.0')


def test_a_sweep_is_drawn_of_what_was_run(plan, calls, tmp_path, monkeypatch):
    campaign_ = make(plan, tmp_path)
    with pytest.raises(ValueError, match='no run of sweep weights'):
        campaign_.draw('weights', tmp_path / 'x.png')
    with pytest.raises(ValueError, match=r"no sweep 'w' .* \['weights'\]"):
        campaign_.draw('w', tmp_path / 'x.png')
    campaign_.run_all([0], only=['start', 'pairs'])
    drawn = []
    monkeypatch.setattr(
        campaign, 'save_weight_sweep', lambda *told: drawn.append(told)
    )
    campaign_.draw('weights', tmp_path / 'x.png')
    figures = {'G50/mAP': 0.5, 'G50/top-1': 0.75, 'det/AP': 0.9}
    assert drawn == [
        (
            {'no KD': {1.0: [figures], 0.1: [figures]}},
            [figures],
            'G50',
            tmp_path / 'x.png',
        )
    ]
