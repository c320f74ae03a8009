"""Several configs with several seeds, without training any."""

import json
from pathlib import Path

import pytest

from mmps.errors import InputError
from mmps.experiments import compare
from mmps.experiments.compare import Runner, comparison_table, run_all
from mmps.experiments.sweep import Point, point_of, sweep

WEIGHT = 'model.roi_head.oim_head.loss_oim.loss_weight'


@pytest.fixture
def calls(monkeypatch):
    """Stands in for training and test: folders, and what they were given."""
    calls = []

    def call(command, work, *words):
        calls.append((command, work.name, *words))
        work.mkdir(parents=True, exist_ok=True)
        (work / 'last_checkpoint').write_text('epoch_2.pth\n')
        if command == 'test':
            out = Path(words[words.index('--out') + 1])
            figures = {'G50/mAP': len(calls), 'det/recall': 0.5}
            out.write_text(json.dumps(figures))

    monkeypatch.setattr(compare, 'call', call)
    return calls


def test_every_seed_of_every_config_is_run_once(tmp_path, calls):
    runner = Runner(tmp_path, ['a=1'], amp=True)
    found = list(run_all(runner, ['x/one.py', 'two'], [0, 1], jobs=1))
    assert [(config, seed) for config, seed, _ in found] == [
        *(('x/one.py', 0), ('two', 0), ('x/one.py', 1), ('two', 1)),
    ]
    options = ('randomness.seed=0', 'a=1')
    work = tmp_path / 'one_seed0'
    assert calls[:2] == [
        (
            *('train', 'one_seed0', 'x/one.py', '--resume', '--amp'),
            *('--cfg-options', 'train_cfg.val_begin=100000', *options),
        ),
        (
            *('test', 'one_seed0', 'x/one.py', 'epoch_2.pth'),
            *('--out', str(work / 'result.json'), '--cfg-options', *options),
        ),
    ]
    assert len(calls) == 8
    again = list(run_all(runner, ['x/one.py', 'two'], [0, 1], jobs=2))
    assert again == found
    assert len(calls) == 8


def test_the_table_of_a_comparison():
    results = {
        'a': [{'G50/mAP': mean, 'det/AP': 0.9} for mean in (0.1, 0.2, 0.6)],
        'b': [{'G50/mAP': 0.5, 'G50/top-1': 0.75, 'det/recall': 0.8}],
    }
    assert comparison_table(results, 'G50').splitlines() == [
        '| config | runs | search mAP | top-1 | detection AP | recall |',
        '| --- | --- | --- | --- | --- | --- |',
        '| a | 3 | 30.0 ± 26.5 | - | 90.0 ± 0.0 | - |',
        '| b | 1 | 50.0 | 75.0 | - | 80.0 |',
    ]


def test_a_point_is_a_config_at_its_own_or_another_weight():
    own = point_of('oim_r18_w0.1_tiny')
    assert own == Point('oim_r18_w0.1_tiny', 0.1)
    assert own.name == 'oim_r18_w0.1_tiny'
    assert point_of('oim_r18_w0.1_tiny@0.1') == own
    other = point_of('configs/oim/oim_r18_tiny.py@0.5')
    assert (other.weight, other.options) == (0.5, (f'{WEIGHT}=0.5',))
    assert other.name == 'oim_r18_tiny_lambda0.5'


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ('oim_r18_tiny@much', "'much' is no number"),
        ('det_r18_synth', 'has no OIM loss'),
        ('oim_r18_tini', 'Did you mean configs/oim/oim_r18_tiny.py'),
    ],
)
def test_what_is_no_point_is_told(given, message):
    with pytest.raises(InputError, match=message):
        point_of(given)


def test_a_sweep_has_a_result_for_every_point_and_seed(tmp_path, calls):
    curves = {
        'no KD': [Point('a', 0.1), Point('a', 1.0, (f'{WEIGHT}=1.0',))],
        'KD': [Point('b', 0.1)],
    }
    shown = []
    measured, alone = sweep(
        *(Runner(tmp_path), curves, 'det', [0, 1], 1),
        lambda label, point, results: shown.append((label, point.weight)),
    )
    assert shown == [('no KD', 0.1), ('no KD', 1.0), ('KD', 0.1)]
    assert {label: list(points) for label, points in measured.items()} == {
        'no KD': [0.1, 1.0],
        'KD': [0.1],
    }
    assert len(alone) == len(measured['KD'][0.1]) == 2
    folders = {folder for _, folder, *_ in calls}
    assert folders == {
        f'{name}_seed{seed}'
        for name in ('a', 'a_lambda1', 'b', 'det')
        for seed in (0, 1)
    }
    (weighted,) = (c for c in calls if c[:2] == ('test', 'a_lambda1_seed1'))
    assert weighted[-2:] == ('randomness.seed=1', f'{WEIGHT}=1.0')
