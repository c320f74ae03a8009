"""One step of KD_det with OIM in mixed precision, on each device."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import build_optim_wrapper

from mmps.engine import enable_amp
from mmps.structures import UNLABELED
from tests.distillation.networks import (
    PEOPLE,
    distiller_config,
    make_student,
)
from tests.models.build import scene

# Every anchor and RoI counts: nothing is drawn.
ALL = {
    'train_cfg.rpn.sampler.num': 1000,
    'train_cfg.rcnn.sampler.num': 1000,
}
NO_GPU = not torch.cuda.is_available()
CASES = [
    ('cpu', 'bf16'),
    *(
        pytest.param(
            *('cuda', dtype),
            marks=pytest.mark.skipif(NO_GPU, reason='needs a GPU'),
        )
        for dtype in ('fp16', 'bf16')
    ),
]


def step_on(device, student, dtype=None):
    """Train one step; its log, and the student behind it."""
    student = copy.deepcopy(student).to(device)
    student.distiller.load_teacher(student)
    wrapper = ConfigDict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)
    )
    cfg = ConfigDict(optim_wrapper=wrapper)
    if dtype is not None:
        enable_amp(cfg, dtype)
    if device == 'cpu' and cfg.optim_wrapper.type == 'AmpOptimWrapper':
        cfg.optim_wrapper = dict(wrapper, type='CPUAmpOptimWrapper')
    scenes = [scene(PEOPLE, [2, UNLABELED]), scene(PEOPLE, [1, 0], seed=1)]
    optim = build_optim_wrapper(student, cfg.optim_wrapper)
    torch.manual_seed(0)
    images, samples = zip(*scenes, strict=True)
    data = dict(inputs=list(images), data_samples=list(samples))
    log = student.train_step(data, optim)
    return {key: value.item() for key, value in log.items()}, student.cpu()


@pytest.mark.parametrize(('device', 'dtype'), CASES)
def test_a_step_is_that_of_float32_but_for_rounding(device, dtype, tmp_path):
    student = make_student(
        distiller_config(tmp_path, student_channels=32),
        load=False,
        oim=True,
        **ALL,
    )
    expected, exact = step_on('cpu', student)
    got, mixed = step_on(device, student, dtype)
    assert got.keys() == expected.keys()
    assert {'loss_oim', 'loss_kd_hint'} <= got.keys()
    for key, value in expected.items():
        if key.startswith('loss'):
            # bfloat16 has 8 bits, and a path of some 30 layers
            assert got[key] == pytest.approx(value, rel=0.15, abs=0.02), key
    for name, parameter in mixed.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.isfinite().all(), name
    before, after, precise = (
        network.roi_head.oim_head.loss_oim.table
        for network in (student, mixed, exact)
    )
    assert after.dtype == torch.float32
    moved = (after != before).any(dim=1)
    assert torch.equal(moved, (precise != before).any(dim=1))
    assert moved.any()
    # rounding also chooses other proposals, whose embeddings move the rows
    assert (after * precise).sum(dim=1).min() > 0.8
