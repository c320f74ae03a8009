"""benchmarks/proposals.py against the test command, on a tiny network."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from mmps.apis import load_config, run_test
from tests.distillation.networks import network
from tests.inference.tiny import TINY
from tests.synthetic.sets import copy_cuhk_sysu

ROOT = Path(__file__).parents[1]
CONFIG = (
    TINY
    + """
test_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}')
)
test_evaluator = dict(det_thr=0.05)
"""
)
BUDGETS = (20, 3)


def load():
    path = ROOT / 'benchmarks' / 'proposals.py'
    spec = importlib.util.spec_from_file_location('proposals', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Config and weights of a network with random weights."""
    folder = tmp_path_factory.mktemp('proposals')
    copy_cuhk_sysu(folder / 'scenes')
    config, weights = folder / 'oim.py', folder / 'oim.pth'
    config.write_text(CONFIG.format(root=ROOT, data=folder / 'scenes'))
    model = network(load_config(str(config)).model, seed=0)
    torch.save({'state_dict': model.state_dict()}, weights)
    return str(config), str(weights)


def test_a_budget_gives_what_the_test_gives(files, tmp_path, capsys):
    out = tmp_path / 'proposals.json'
    words = [*files, '--protocol', 'occlusion', '--out', str(out)]
    load().main([*words, '--budgets', *map(str, BUDGETS)])
    result = json.loads(out.read_text())
    config, weights = files
    rows = result['rows']
    assert [row['budget'] for row in rows] == [*BUDGETS]
    for row in rows:
        cfg = load_config(
            config,
            work_dir=str(tmp_path / 'work'),
            cfg_options={
                'model.test_cfg.rpn.max_per_img': row['budget'],
                'test_evaluator.protocols': ['occlusion'],
                'experiment_name': f'budget{row["budget"]}',
            },
        )
        tested = run_test(cfg, weights)
        assert row['figures'] == {key: tested[key] for key in row['figures']}
        assert row['figures'].keys() == {
            *('occlusion/mAP', 'occlusion/top-1', 'det/AP', 'det/recall'),
        }
        assert 0 < row['proposals'] <= row['budget']
        assert row['milliseconds'] > 0
    few, many = rows[1]['figures'], rows[0]['figures']
    assert few['det/recall'] < many['det/recall']
    assert rows[0]['ratio'] == 1
    printed = capsys.readouterr().out
    assert f'{100 * few["det/recall"]:.2f}' in printed
