"""Whole pairwise tests on a few scenes, with a network as small as can be.

``conftest.py`` has the fixtures that share one network and one run.
"""

import copy
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from mmps.apis import load_config
from mmps.evaluation import PairTestLoop
from mmps.evaluation.pair_findings import by_query
from tests.distillation.networks import network

ROOT = Path(__file__).parents[2]
NUMBER = itertools.count()  # mmengine wants a new name for each run
PARTS = ('images', 'counts', 'bboxes', 'scores', 'similarity')
QUERIES = 4
#: Of weights whose few proposals cover some of the people.
SEED = 6
PROTOCOL, GALLERY = 'occlusion', 20
#: Of a unit, and the units of a whole test in blocks of 2 queries.
UNIT_PAIRS, UNITS = 10, 8
CONFIG = """
_base_ = '{root}/configs/qeeps/qeeps_r18_tiny.py'
# as small as a network can be, on small scenes
model = dict(
    backbone=dict(base_channels=8, reduction=2, gated={gated}),
    rpn_head=dict(in_channels=32, feat_channels=16, reduction=4),
    roi_head=dict(
        bbox_roi_extractor=dict(output_size=4),
        shared_head=dict(base_channels=8),
        bbox_head=dict(in_channels=64),
        oim_head=dict(in_channels=64, feat_dim=8),
        sim_head=dict(feat_dim=8),
    ),
    test_cfg=dict(rpn=dict(max_per_img=40), rcnn=dict(score_thr=0.05)),
)
test_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='Resize', scale=(160, 120), keep_ratio=True),
    dict(type='LoadTrackAnnotations'),
    dict(type='PackPersonSearchInputs'),
]
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='{data}', pipeline=test_pipeline),
)
test_evaluator = dict(det_thr=0.05, protocols=['{protocol}'])
test_cfg = dict(
    type='PairTestLoop',
    num_queries={queries},
    queries_at_once=2,
    unit_pairs={unit_pairs},
)
train_cfg = train_dataloader = optim_wrapper = param_scheduler = None
val_cfg = val_dataloader = val_evaluator = None
"""
#: Spread of weights so that the query matters to what is found.
STRONG = {
    'rpn_cls.weight': 1.0,
    'rpn_head.gate.fc1.weight': 1.0,
    'rpn_head.gate.fc2.weight': 1.0,
    'qrpn_conv.weight': 0.3,
    'qrpn_cls.weight': 1.0,
    'sim_head.fc.weight': 10.0,
    # and boxes stay where people may be
    'rpn_reg.weight': 0.001,
    'fc_reg.weight': 0.001,
}


def configured(folder, data, gated=False):
    path = folder / f'pairs_{"gated" if gated else "plain"}.py'
    path.write_text(
        CONFIG.format(
            root=ROOT,
            data=data,
            gated=gated,
            protocol=PROTOCOL,
            queries=QUERIES,
            unit_pairs=UNIT_PAIRS,
        )
    )
    return str(path)


def loaded(config, work_dir):
    name = f'pairs{next(NUMBER)}'
    return load_config(
        config, work_dir=str(work_dir), cfg_options={'experiment_name': name}
    )


def runner_of(config, work_dir):
    cfg = loaded(config, work_dir)
    strong = network(copy.deepcopy(cfg.model), seed=SEED)
    torch.manual_seed(SEED)
    for name, parameter in strong.named_parameters():
        for end, std in STRONG.items():
            if name.endswith(end):
                nn.init.normal_(parameter, std=std)
    runner = Runner.from_cfg(cfg)
    runner.model.load_state_dict(strong.state_dict())
    return runner


def shell(runner, work_dir, cfg=None):
    """What a loop needs of a runner; no hooks."""
    return SimpleNamespace(
        cfg=cfg or runner.cfg,
        work_dir=str(work_dir),
        call_hook=lambda *args, **kwargs: None,
        **{
            name: getattr(runner, name)
            for name in (
                *('model', 'visualizer', 'seed', '_randomness_cfg'),
                *('build_dataloader', 'build_evaluator'),
            )
        },
    )


def make_loop(
    runner, work_dir, evaluator=None, scale=None, root=None, **options
):
    """A loop with the options of the config and others."""
    cfg = copy.deepcopy(runner.cfg)
    cfg.test_evaluator.update(evaluator or {})
    if root is not None:
        cfg.test_dataloader.dataset.data_root = str(root)
    options = {
        'queries_at_once': 2,
        'unit_pairs': UNIT_PAIRS,
        'num_queries': QUERIES,
        **options,
    }
    if scale is not None:
        cfg.test_dataloader.dataset.pipeline[2].scale = scale
    loop = PairTestLoop(
        shell(runner, work_dir, cfg),
        cfg.test_dataloader,
        cfg.test_evaluator,
        **options,
    )
    loop.poll = 0.02
    return loop


#: What float32 may lose on the way to a number of the size of 1. Sums of a few
#: hundred products lose about the root of as many units in the last place.
NOISE = 64 * float(np.finfo(np.float32).eps)
#: Height and width of the scenes: boxes are differences of numbers as large.
PIXELS = 320


def check_same_findings(found, expected, noise=NOISE):
    """Equal but for what another order of sums changes; 0 is to the bit."""
    assert found.keys() == expected.keys()
    for query, part in itertools.product(expected, PARTS):
        size = PIXELS if part == 'bboxes' else 1
        np.testing.assert_allclose(
            getattr(found[query], part),
            getattr(expected[query], part),
            rtol=0,
            atol=size * noise,
            err_msg=f'{query}, {part}',
        )


def assert_same(got, expected):
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        near = got[key] == pytest.approx(value, abs=1e-6)
        assert near, f'{key}: {got[key]}, not {value}'


def findings_in(loop):
    """Query -> what all tests of the network of a loop have found."""
    store = loop.store()
    meta = loop.dataset.metainfo
    everything = dict.fromkeys(
        range(len(meta['queries'])), np.arange(len(meta['image_names']))
    )
    table = store.read(files_of(store.folder), everything)
    return {
        query: found
        for query, found in by_query(table, everything).items()
        if len(found.images)
    }


def files_of(folder):
    """Of units of pairs, of all networks below a folder."""
    return sorted(Path(folder).rglob('units/*.npz'))
