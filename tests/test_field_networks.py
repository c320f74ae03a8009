"""NAE, SeqNet and OIMNet++ from training to a searched picture.

And a SeqNet as the teacher of an OIM and of a SeqNet student.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmps.apis import load_config, run_test, run_training
from mmps.datasets.cuhk_sysu import read_cuhk_sysu
from mmps.evaluation.dump import read_dump
from mmps.evaluation.scoring import score_features
from mmps.inference import PersonSearchInferencer
from tests.synthetic.sets import copy_cuhk_sysu

ROOT = Path(__file__).parents[1]
CONFIG = """
_base_ = '{root}/configs/{name}.py'
scenes = dict(data_root='{data}')
workers = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(**workers, batch_size=2, dataset=dict(**scenes))
val_dataloader = dict(**workers, dataset=scenes)
test_dataloader = dict(**workers, dataset=scenes)
train_cfg = dict(max_epochs=1, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=0.01))
# a network of a few steps finds nobody with a high score
test_evaluator = dict(det_thr=0.001)
model = dict(
    backbone=dict(base_channels=8),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(output_size=4),
        shared_head=dict(base_channels=8),
        bbox_head=dict(in_channels=64),
        oim_head=dict(
            in_channels={channels},
            feat_dim=16,
            loss_oim=dict(num_ids={people}),
        ),
    ),
    test_cfg=dict(rcnn=dict(score_thr=0.001)),
{more})
"""
TABLE = 'roi_head.oim_head.loss_oim.table'
pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('field')
    copy_cuhk_sysu(root / 'data')
    return root


def write_config(root, name, more='', after=''):
    people = read_cuhk_sysu(str(root / 'data'), 'train').identity_names
    path = root / f'{Path(name).name}.py'
    both = any(part in name for part in ('nae/', '/seqnet'))
    path.write_text(
        CONFIG.format(
            root=ROOT,
            name=name,
            data=root / 'data',
            channels=(32, 64) if both else 64,
            people=len(people),
            more=more,
        )
        + after
    )
    return str(path)


def train(root, path):
    """The checkpoint of one epoch."""
    work = root / 'work' / Path(path).stem
    run_training(load_config(path, work_dir=str(work)))
    return work / 'epoch_1.pth'


@pytest.fixture(scope='module')
def seqnet(root):
    """Config and checkpoint."""
    path = write_config(root, 'seqnet/seqnet_r18_synth')
    return path, train(root, path)


@pytest.mark.parametrize('name', ['nae', 'seqnet', 'oimnetpp'])
def test_it_is_trained_tested_dumped_and_searched_with(name, root, request):
    if name == 'seqnet':
        path, checkpoint = request.getfixturevalue('seqnet')
    else:
        path = write_config(root, f'{name}/{name}_r18_synth')
        checkpoint = train(root, path)
    state = torch.load(checkpoint)['state_dict']
    assert state[TABLE].any(dim=1).all()  # everybody was seen

    dump = root / f'{name}.npz'
    result = run_test(
        load_config(path, work_dir=str(root / 'work' / name)),
        str(checkpoint),
        dump=str(dump),
    )
    assert result['det/boxes'] > 0
    again = score_features(read_dump(dump), det_thr=0.001)
    assert again.result == {key: result[key] for key in again.result}
    assert sum(key.endswith('mAP') for key in again.result) > 1

    inferencer = PersonSearchInferencer(path, str(checkpoint), 'cpu')
    inferencer.det_thr = 0.001
    pictures = sorted((root / 'data/Image/SSM').glob('*.jpg'))[:2]
    matches = inferencer.search(
        str(pictures[0]), (20, 20, 60, 110), list(map(str, pictures)), top=3
    )
    assert len(matches) == 3
    similarities = [match.similarity for match in matches]
    assert similarities == sorted(similarities, reverse=True)
    assert np.abs(similarities).max() <= 1 + 1e-6


@pytest.mark.parametrize('student', ['oim', 'seqnet'])
def test_a_seqnet_teaches_by_table_and_detector(student, root, seqnet):
    path, checkpoint = seqnet
    kd = f'kd/{student}_r18_seqnetdet50_seqnet50_synth'
    config = write_config(
        root,
        kd,
        more=f"    distiller=dict(teacher='{path}', "
        f"checkpoint='{checkpoint}'),\n",
        after="custom_hooks = [dict(type='FrozenLUTHook', "
        f"teacher='{checkpoint}')]\n",
    )
    ours = torch.load(train(root, config))['state_dict'][TABLE]
    theirs = torch.load(checkpoint)['state_dict'][TABLE]
    torch.testing.assert_close(
        ours, torch.nn.functional.normalize(theirs, dim=1)
    )
    log = (root / 'work' / Path(config).stem).rglob('*.log')
    text = next(log).read_text()
    for part in ('hint', 'rpn_cls', 'rpn_bbox', 'rcn_cls', 'rcn_bbox'):
        assert f'loss_kd_{part}: ' in text
