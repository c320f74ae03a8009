"""Short runs of real networks under the runtime of the configs."""

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config

from mmps.structures import UNLABELED
from tests.distillation.networks import PEOPLE
from tests.engine import toy
from tests.models.build import CONFIGS, scene

RUNTIME = CONFIGS / '_base_' / 'default_runtime.py'


@DATASETS.register_module()
class SceneData(toy.ToyData):
    """Noisy pictures of two people, of whom one has a name."""

    def __init__(self, names=('a', 'b', 'c')):
        super().__init__(size=4, names=names)

    def __getitem__(self, index):
        row = index % len(self.metainfo['identity_names'])
        inputs, sample = scene(PEOPLE, [row, UNLABELED], seed=index)
        return dict(inputs=inputs, data_samples=sample)


def run_of(folder, model, names=('a', 'b', 'c'), **changes):
    """The runtime of the configs around a model; 2 epochs of 2 steps."""
    dataset = dict(type='SceneData', names=names)
    return toy.make_config(
        folder,
        model=model,
        train_dataloader=dict(dataset=dataset, batch_size=2),
        train_cfg=dict(max_epochs=2),
        optim_wrapper=dict(optimizer=dict(lr=0.01)),
        default_hooks={
            name: hook
            for name, hook in Config.fromfile(RUNTIME).default_hooks.items()
            if name in ('identity_names', 'distiller')
        },
        **changes,
    )


def load(path):
    return torch.load(path, map_location='cpu', weights_only=True)


def same(a, b):
    """Whether two nests of dicts, lists and tensors are equal to the bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if torch.is_tensor(a) else a == b
