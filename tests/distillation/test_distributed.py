"""Two processes with half of the images each learn as one with all."""

import pytest
import torch
import torch.nn.functional as F

from mmps.distillation import EmbeddingLoss, RelationLoss
from mmps.structures import UNLABELED
from tests.distillation.networks import (
    PEOPLE,
    distiller_config,
    make_student,
    network_config,
)
from tests.models.build import batch, scene
from tests.ranks import run_ranks

# Nothing is drawn, and nothing depends on the other images of a batch.
STEADY = {
    'train_cfg.rpn.sampler.num': 1000,
    'train_cfg.rcnn.sampler.num': 1000,
    'backbone.norm_eval': True,
    'roi_head.shared_head.norm_eval': True,
}
# What the first and the second process see: someone and no one, someone
# without a name, as many people each; then images of four shapes, all padded
# to 128 x 128, so that nothing but their padding differs
STEPS = (
    ((PEOPLE, [2, UNLABELED]), ([], [])),
    ((PEOPLE[:1], [0]), (PEOPLE, [UNLABELED, UNLABELED])),
    ((PEOPLE, [1, 0]), (PEOPLE, [1, UNLABELED])),
    (
        (PEOPLE, [0, 2], (96, 128)),
        ([], [], (128, 50)),
        (PEOPLE[:1], [1], (128, 90)),
        (PEOPLE, [2, 1], (100, 128)),
    ),
)
LOGGED = {'acc', 'kd_rpn_active', 'kd_rcn_active', 'kd_adapter_norm'}
# losses of each part
DETECTOR = {'hint': 1, 'rpn': 2, 'rcn': 2}
EMBEDDINGS = {'embedding': 1, 'relation': 1}
# what is taught, whether the table is frozen
CASES = {
    'KD_det': (DETECTOR, False),
    'KD_reid': ({}, True),
    'both': (DETECTOR, True),
    'embeddings': (EMBEDDINGS, True),
}
# the embeddings of these random networks are much alike
RELATION = {'loss_weight': 1e7}
# how many people the first and the second process see
PEOPLE_OF_TWO = ((7, 2), (3, 3), (1, 0), (0, 4), (1, 1), (0, 0))
OIM = 'roi_head.oim_head.loss_oim'


def frozen_table():
    generator = torch.Generator().manual_seed(9)
    return F.normalize(torch.randn(3, 8, generator=generator), dim=1).double()


def run_cases(rank, world_size, distiller):
    return {
        case: run_share(
            rank,
            world_size,
            with_parts(distiller, parts),
            reid,
        )
        for case, (parts, reid) in CASES.items()
    }


def with_parts(distiller, parts):
    """The distiller's config for these parts, None for none."""
    if not parts:
        return None
    options = {'relation': RELATION} if 'relation' in parts else {}
    return {**distiller, 'parts': [*parts], **options}


def run_share(rank, world_size, distiller, reid):
    """Steps on this process's images; losses and gradients in the mean."""
    changes = {'roi_head.oim_head.norm_cfg': None} if reid else {}
    student = make_student(distiller, oim=reid, **STEADY, **changes).double()
    counts = []
    if distiller is not None:
        student.distiller.teacher.model.double()
        student.distiller.register_forward_pre_hook(
            lambda _, told: counts.append([len(b.where) for b in told[3:5]])
        )
    if reid:
        student.roi_head.oim_head.loss_oim.freeze(frozen_table())
    values, gradients = [], []
    for people in STEPS:
        scenes = [scene(*args, seed=s) for s, args in enumerate(people)]
        half = len(scenes) // world_size
        share = scenes[rank * half : (rank + 1) * half]
        student.zero_grad()
        losses = student.loss(*batch(student, *share, training=True))
        student.parse_losses(losses)[0].backward()
        values.append(
            {k: v.detach() for k, v in losses.items() if k not in LOGGED}
        )
        gradients.append(
            {n: p.grad.clone() for n, p in student.named_parameters()}
        )
    if world_size > 1:
        for step in (*values, *gradients):
            for tensor in step.values():
                torch.distributed.all_reduce(tensor)
                tensor /= world_size
    return values, gradients, counts, student.state_dict()


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """What one process has, then what each of two has."""
    folder = tmp_path_factory.mktemp('ranks')
    teacher = network_config(oim=True)
    distiller = distiller_config(tmp_path_factory.mktemp('teacher'), teacher)
    one = run_cases(0, 1, distiller)
    return [one, *run_ranks(2, folder, run_cases, 2, distiller)]


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_losses_and_gradients_of_two_are_those_of_one(runs, case):
    one, *two = (run[case] for run in runs)
    parts, reid = CASES[case]
    expected = 4 + reid + sum(parts.values())
    assert [len(step) for step in one[0]] == [expected] * len(STEPS)
    for got in two:
        for step, other in zip(
            (*one[0], *one[1]), (*got[0], *got[1]), strict=True
        ):
            assert step.keys() == other.keys()
            for name, value in step.items():
                assert value.isfinite().all()
                torch.testing.assert_close(
                    other[name], value, rtol=1e-6, atol=1e-9, msg=name
                )
    adapter = 'distiller.hint.adapter.weight'
    assert (adapter in one[1][0]) == ('hint' in parts)
    if 'relation' in parts:
        assert min(step['loss_kd_relation'] for step in one[0]) > 1e-2
    for step in one[1]:
        assert sum(g.any() for g in step.values()) > len(step) / 2


@pytest.mark.slow
def test_the_processes_above_sampled_different_numbers(runs):
    one, first, second = (torch.tensor(run['both'][2]) for run in runs)
    assert torch.equal(one, first + second)
    assert (first != second).any(dim=0).tolist() == [True, True]


@pytest.mark.slow
@pytest.mark.parametrize('case', ['KD_reid', 'both'])
def test_the_frozen_table_stays_and_the_queues_agree(runs, case):
    states = [run[case][3] for run in runs]
    for state in states:
        assert torch.equal(state[f'{OIM}.table'], frozen_table())
        assert state[f'{OIM}.queue_head'] == 4  # without a name
        torch.testing.assert_close(
            state[f'{OIM}.queue'],
            states[0][f'{OIM}.queue'],
            rtol=0,
            atol=1e-9,
        )
    assert states[0][f'{OIM}.queue'].any(dim=1).sum() >= 4


def run_terms(rank, world_size, loss):
    """Value and gradient of a term on this process's embeddings."""
    generator, found = torch.Generator().manual_seed(3), []
    for counts in PEOPLE_OF_TWO:
        student, teacher = (
            F.normalize(x, dim=1)
            for x in torch.randn(
                2, sum(counts), 4, generator=generator, dtype=torch.float64
            )
        )
        if world_size > 1:
            student, teacher = (
                x.split(counts)[rank] for x in (student, teacher)
            )
        student = student.clone().requires_grad_()
        value = loss(loss_weight=0.7)(student, teacher)
        value.backward()
        found.append((value.detach(), student.grad))
    return found


@pytest.mark.parametrize('loss', [EmbeddingLoss, RelationLoss])
def test_terms_of_two_processes_are_those_of_one(loss, tmp_path):
    one = run_terms(0, 1, loss)
    two = run_ranks(2, tmp_path, run_terms, 2, loss)
    for people, (value, grad), *shares in zip(
        PEOPLE_OF_TWO, one, *two, strict=True
    ):
        assert [len(of_rank) for _, of_rank in shares] == list(people)
        mean = torch.stack([of_rank for of_rank, _ in shares]).mean()
        torch.testing.assert_close(mean, value, rtol=0, atol=1e-12)
        # as DistributedDataParallel averages the gradients
        grads = torch.cat([of_rank for _, of_rank in shares]) / 2
        torch.testing.assert_close(grads, grad, rtol=0, atol=1e-12)
        if sum(people) > 1:
            assert value > 1e-2
            assert grad.abs().amax(dim=1).min() > 1e-3
