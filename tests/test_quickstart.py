"""The quick start's commands; the whole of it is run by hand."""

import json
import runpy
from pathlib import Path

import pytest

from mmps.apis import load_config

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def quickstart():
    return runpy.run_path(str(ROOT / 'tools' / 'quickstart.py'))


@pytest.mark.parametrize('cores', [1, 2, 8])
def test_a_step_has_the_batch_of_the_config(quickstart, cores, monkeypatch):
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(cores)))
    command = quickstart['training'](Path('work'))
    options = dict(
        option.split('=')
        for option in command[command.index('--cfg-options') + 1 :]
    )
    assert options.pop('train_cfg.val_begin') == '1000'
    batch = load_config(str(ROOT / quickstart['CONFIG'])).train_dataloader
    config, work = command.index(quickstart['CONFIG']), '--work-dir'
    assert command[config - 1] == 'tools/train.py'
    assert command[command.index(work) + 1] == 'work'
    assert '--resume' in command
    if cores == 1:
        assert command[0] == 'tools/train.py'
        assert options == {}
        return
    assert command[:3] == (
        'tools/torchrun.py',
        '--standalone',
        '--nproc_per_node=2',
    )
    assert command[command.index('--launcher') + 1] == 'pytorch'
    each = int(options.pop('train_dataloader.batch_size'))
    assert 2 * each == batch.batch_size
    assert options == {}


def test_a_step_sets_and_shows_its_environment(quickstart, capfd, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '7')
    program = 'import os; print(os.environ["OMP_NUM_THREADS"])'
    assert quickstart['step']('t', '-c', program, OMP_NUM_THREADS='1') > 0
    *_, command, printed = capfd.readouterr().out.splitlines()
    assert command.startswith('$ OMP_NUM_THREADS=1 python -c ')
    assert printed == '1'


def test_what_was_recorded_is_the_student_without_its_teacher(quickstart):
    student = load_config(str(ROOT / quickstart['CONFIG']))
    recorded = json.loads((ROOT / quickstart['RECORDED']).read_text())
    assert [run['lambda_oim'] for run in recorded] == [0.3, 1.0]
    for run in recorded:
        words = run['command'].split()
        (config,) = (word for word in words if word.startswith('configs/'))
        plain = load_config(str(ROOT / config))
        weight = f'loss_oim.loss_weight={run["lambda_oim"]}'
        assert run['command'].endswith(weight)
        assert plain.load_from == student.load_from
        assert plain.train_cfg == student.train_cfg
        assert plain.param_scheduler == student.param_scheduler
        assert plain.get('custom_hooks') is None
