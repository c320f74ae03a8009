"""Batches, order and workers of a test change no figure.

``tests/test_end_to_end.py`` has the test of two processes.
"""

import itertools
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from mmps.apis import load_config, run_test
from mmps.evaluation import read_dump
from mmps.zoo import load_index
from tests.evaluation.pair_runs import ROOT
from tests.models.build import batch, build, scene
from tests.synthetic.sets import copy_cuhk_sysu

NUMBER = itertools.count()  # mmengine wants a new name for each run
#: Similarities of a trained network lie far apart; of random weights so many
#: are nearly equal that roundings change ranks.
RELEASED = 'oim_r18_synth'
CONFIG = """
_base_ = '{root}/configs/oim/{name}.py'
# conv5 on 300 RoIs takes its time
model = dict(test_cfg=dict(rpn=dict(max_per_img=40)))
test_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root='{data}')
)
"""
#: Ways to go through a test set, as options of its loader.
WAYS = {
    'two at a time': dict(batch_size=2),
    'five, shuffled': {'batch_size': 5, 'sampler.shuffle': True},
    'five, two workers': dict(batch_size=5, num_workers=2),
}


@pytest.fixture(scope='module')
def tested(tmp_path_factory):
    """Runs a test with options of the loader: figures and dump."""
    folder = tmp_path_factory.mktemp('batches')
    copy_cuhk_sysu(folder / 'data')
    # every third picture is higher
    for path in sorted((folder / 'data/Image/SSM').glob('*.jpg'))[::3]:
        pixels = cv2.imread(str(path))
        border = 0, 48, 0, 0, cv2.BORDER_REPLICATE
        cv2.imwrite(str(path), cv2.copyMakeBorder(pixels, *border))
    config = folder / 'oim.py'
    weights = ROOT / load_index(ROOT).find(RELEASED).weights.path
    config.write_text(
        CONFIG.format(root=ROOT, name=RELEASED, data=folder / 'data')
    )

    def run(options):
        options = {f'test_dataloader.{k}': v for k, v in options.items()}
        options['experiment_name'] = f'batches{next(NUMBER)}'
        cfg = load_config(
            str(config), work_dir=str(folder / 'work'), cfg_options=options
        )
        dump = folder / 'dump.npz'
        figures = run_test(cfg, str(weights), dump=str(dump))
        return SimpleNamespace(figures=figures, dump=read_dump(dump))

    return run


@pytest.fixture(scope='module')
def expected(tested):
    """Of one picture at a time, in order."""
    return tested({})


@pytest.mark.slow
@pytest.mark.parametrize('way', WAYS)
def test_no_figure_changes(way, tested, expected):
    found = tested(WAYS[way])
    assert found.figures == pytest.approx(expected.figures, rel=0, abs=1e-9)
    assert 0.2 < found.figures['occlusion/mAP'] < 1
    assert found.figures['det/recall'] > 0.5
    assert found.dump.image_names == expected.dump.image_names
    ours, theirs = found.dump.detections, expected.dump.detections
    np.testing.assert_array_equal(ours.offsets, theirs.offsets)
    for part, limit in (
        *(('bboxes', 1e-3), ('scores', 1e-5), ('embeddings', 1e-5)),
    ):
        np.testing.assert_allclose(
            getattr(ours, part), getattr(theirs, part), rtol=0, atol=limit
        )
    np.testing.assert_allclose(
        found.dump.query_embeddings,
        expected.dump.query_embeddings,
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize('given', [False, True])
def test_an_image_does_not_see_the_padding_of_a_larger_one(given):
    model = build(seed=1).eval()
    model.test_cfg.rcnn.score_thr = model.roi_head.test_cfg.score_thr = 0.0
    box = [[30, 10, 64, 60]]
    scenes = [
        scene(box, shape=shape, seed=seed)
        for seed, shape in enumerate([(64, 64), (96, 128), (64, 64)])
    ]

    @torch.no_grad()
    def run(scenes):
        inputs, samples = batch(model, *scenes, training=False)
        if given:
            images, samples = zip(*scenes, strict=True)
            data = dict(inputs=list(images), data_samples=list(samples))
            return model.embed_people(data)
        return model.predict(inputs, samples)

    alone = [run([one])[0].clone() for one in scenes]
    together = run(scenes)
    assert [sample.img_id for sample in together] == [0, 1, 2]
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(
            other.gt_instances.embeddings,
            one.gt_instances.embeddings,
            rtol=0,
            atol=1e-5,
        )
        if not given:
            assert len(one.pred_instances) > 3
            torch.testing.assert_close(
                other.pred_instances.scores,
                one.pred_instances.scores,
                rtol=0,
                atol=1e-5,
            )
