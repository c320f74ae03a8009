"""Two and three processes learn what one learns from the same pictures.

Each case trains a network for some steps on pictures that the processes
share, and again on one process with all of them. Nothing is drawn (every
anchor and RoI counts), no BatchNorm trains, and numbers have 64 bits: what is
left is the order in which sums are taken.
"""

import os
import random
from pathlib import Path

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from torch import distributed, nn

from mmps.apis import load_config
from mmps.datasets import collate_pairs
from mmps.distillation import read_table
from tests.distillation.networks import network

from .children import Child
from .trainings import prepare, rank_environment, succeed
from .trial import Trial

#: Of row 15, and both kinds of distillation at once.
NETWORKS = ('oim', 'kd_det', 'kd_reid', 'kd_both', 'qeeps', 'nae', 'seqnet')
STEPS = 3
LIMIT = 1e-6
MEMORY = 'roi_head.oim_head.loss_oim'
#: Everything counts, so that nothing is drawn.
ALL = {
    'model.train_cfg.rpn.sampler.num': 10**6,
    'model.train_cfg.rcnn.sampler.num': 10**6,
}
ALL_OF_PAIRS = {
    'model.rpn_head.num_samples': 10**6,
    'model.roi_head.sim_head.negatives': 10**6,
}


def attack(trial: Trial) -> str:
    """Train on one and on several."""
    folder = trial.folder
    prepare(folder)
    largest, moved = 0.0, []
    for number, rng in trial.each():
        with trial.attempt(number):
            name, ranks = NETWORKS[number % len(NETWORKS)], rng.choice([2, 3])
            share, seed = rng.choice([1, 2]), rng.randrange(10**6)
            files = [folder / f'{number}.{i}.pt' for i in range(ranks + 1)]
            case = folder, name, seed, ranks * share
            succeed([Child(_train, *case, files[0], log=folder / 'one.txt')])
            succeed(
                [
                    Child(
                        *(_train, *case, file),
                        log=folder / f'rank{rank}.txt',
                        environment=environment,
                    )
                    for rank, (file, environment) in enumerate(
                        zip(files[1:], rank_environment(ranks), strict=True)
                    )
                ]
            )
            one, *several = map(torch.load, files)
            far = max(_distance(one['after'], of['after']) for of in several)
            moved.append(_distance(one['before'], one['after']))
            assert moved[-1] > 100 * LIMIT, 'nothing was learned'
            assert far < LIMIT, f'{far:.1e} apart'
            largest = max(largest, far)
            _check_memory(one['after'], [of['after'] for of in several])
    return (
        f'largest difference {largest:.1e} after {STEPS} steps that moved '
        f'weights by {min(moved, default=0):.1e} or more; tables, queues and '
        'their position the same to the bit on all processes'
    )


def _train(
    folder: Path, name: str, seed: int, pictures: int, out: Path
) -> None:
    """Take some steps, alone or as one of several.

    Args:
        folder: Of ``prepare``.
        name: Of the network.
        seed: Of the pictures and the weights.
        pictures: Of a step, all processes together.
        out: Gets weights before and after.
    """
    several = 'RANK' in os.environ
    if several:
        distributed.init_process_group('gloo')
    rank = distributed.get_rank() if several else 0
    share = pictures // (distributed.get_world_size() if several else 1)
    cfg = load_config(str(folder / f'{name}.py'))
    cfg.merge_from_dict(ALL | (ALL_OF_PAIRS if name == 'qeeps' else {}))
    cfg.train_dataloader.dataset.pop('indices', None)
    if name == 'qeeps':
        cfg.train_dataloader.dataset.num_pairs = 4 * pictures
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = _model(cfg, name, seed, folder)
        data = DATASETS.build(cfg.train_dataloader.dataset)
    collate = collate_pairs if name == 'qeeps' else pseudo_collate
    before = {key: v.clone() for key, v in _state(model).items()}
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        lr=0.02,
        momentum=0.9,
    )
    wrapper = OptimWrapper(optimizer, clip_grad=dict(max_norm=10.0))
    learner = model
    if several:
        learner = MMDistributedDataParallel(
            model, broadcast_buffers=False, find_unused_parameters=True
        )
    for step in range(STEPS):
        order = random.Random(f'{seed}/{step}').sample(
            range(len(data)), pictures
        )
        mine = order[rank * share : (rank + 1) * share]
        items = [_item(data, index, seed) for index in mine]
        learner.train_step(collate(items), wrapper)
    torch.save(dict(before=before, after=_state(model)), out)
    if several:
        distributed.barrier()
        distributed.destroy_process_group()


def _item(data: torch.utils.data.Dataset, index: int, seed: int) -> object:
    data.seed = seed  # a flip is that of the picture
    return data[index]


def _model(cfg: Config, name: str, seed: int, folder: Path) -> nn.Module:
    """A network with random weights, in which no BatchNorm trains."""
    model = network(cfg.model, seed).train().double()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    if getattr(model, 'distiller', None) is not None:
        model.distiller.load_teacher(model)
        model.distiller.teacher.model.double()
    if name in ('kd_reid', 'kd_both'):
        table = read_table(folder / 'table.pth')
        model.get_submodule(MEMORY).freeze(table.normalised().double())
    return model


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        key: value
        for key, value in model.state_dict().items()
        if isinstance(value, torch.Tensor)
    }


def _distance(one: dict, two: dict) -> float:
    """Largest difference of weights and buffers, of those above 1 relative."""
    assert one.keys() == two.keys()
    return max(
        float(((a - b).abs() / b.abs().clamp(min=1)).max())
        for a, b in ((one[key].double(), two[key].double()) for key in one)
        if a.numel()
    )


def _check_memory(one: dict, several: list[dict]) -> None:
    """Table, queue and position of all processes, and those of one."""
    places = [f'{MEMORY}.{name}' for name in ('table', 'queue', 'queue_head')]
    for place in places:
        for state in several:
            assert torch.equal(state[place], several[0][place]), place
    assert torch.equal(one[places[2]], several[0][places[2]])
    assert sum(one[place].any(dim=1).sum() for place in places[:2]) > 2
