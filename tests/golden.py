"""Short trainings whose losses are kept.

    python -m tests.golden              runs that are not kept yet
    python -m tests.golden --replace    all of them, anew

Twenty iterations on eight noisy pictures, from random weights, through the
pipeline, hooks and loop of the configs: an OIM network taught by a detector
(KD_det), and SeqNet with a teacher's table (KD_reid). ``golden.json`` has the
losses of every iteration.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import Compose

from mmps.atomic_files import write_text
from mmps.distillation import IdentityTable, write_table
from mmps.structures import UNLABELED
from tests.distillation.networks import distiller_config, network_config
from tests.distillation.networks import network as random_network
from tests.distillation.runs import run_of
from tests.engine import toy
from tests.models.build import CONFIGS, model_config, scene

FILE = Path(__file__).with_name('golden.json')
NAMES = ('a', 'b', 'c')
STEPS = 20
#: A step of SGD is no longer than their product, so that what another
#: processor rounds otherwise does not grow from step to step.
LR, MAX_NORM = 1e-5, 1.0
#: Factors of random weights that spread the scores of the RPN and leave its
#: boxes near the anchors: which boxes are sampled depends on their order, and
#: between two scores nothing must fit that rounds.
SPREAD = {'rpn_cls.weight': 20.0, 'rpn_reg.weight': 0.02}
SEQNET = {
    'backbone.base_channels': 8,
    'rpn_head.in_channels': 32,
    'rpn_head.feat_channels': 16,
    'roi_head.bbox_roi_extractor.output_size': 4,
    'roi_head.shared_head.base_channels': 8,
    'roi_head.bbox_head.in_channels': 64,
    'roi_head.oim_head.in_channels': (32, 64),
    'roi_head.oim_head.feat_dim': 8,
    'roi_head.oim_head.loss_oim.num_ids': len(NAMES),
    'roi_head.oim_head.loss_oim.queue_size': 7,
    'train_cfg.rpn.sampler.num': 32,
    'train_cfg.rpn_proposal.max_per_img': 30,
    'train_cfg.rcnn.sampler.num': 16,
}


@DATASETS.register_module()
class GoldenData(toy.ToyData):
    """Noisy pictures of three people each, through the training pipeline."""

    def __init__(self) -> None:
        super().__init__(size=8, names=NAMES)
        cfg = Config.fromfile(CONFIGS / '_base_/datasets/scenes.py')
        _, *steps = cfg.train_pipeline
        for step in steps:
            if step.type == 'Resize':
                step.scale = (128, 96)
        self.pipeline = Compose(steps)

    def __getitem__(self, index: int) -> dict:
        super().__getitem__(index)  # seeds
        left = 4 * (index % 8)
        people = [
            [left, 10, left + 30, 90],
            [left + 40, 5, left + 75, 95],
            [60, 20, 80, 70 + index % 8],
        ]
        pixels, _ = scene([], seed=index)
        image = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
        ids = [index % 3, (index + 1) % 3, UNLABELED]
        return self.pipeline(
            dict(
                img=image,
                img_path=f'{index}.png',
                img_id=index,
                img_name=f'{index}.png',
                img_shape=image.shape[:2],
                ori_shape=image.shape[:2],
                instances=[
                    dict(
                        bbox=[float(edge) for edge in box],
                        bbox_label=0,
                        ignore_flag=0,
                        instance_id=person,
                    )
                    for box, person in zip(people, ids, strict=True)
                ],
            )
        )


def oim(folder: Path) -> tuple[Config, dict]:
    """A narrow OIM network with KD_det, and what its run has beside."""
    model = network_config(oim=True)
    model.distiller = distiller_config(folder)
    return model, {}


def seqnet(folder: Path) -> tuple[Config, dict]:
    """A narrow SeqNet with KD_reid."""
    cfg = Config(dict(model=model_config('seqnet/seqnet_r18_synth')))
    cfg.merge_from_dict({f'model.{k}': v for k, v in SEQNET.items()})
    rows = torch.linspace(-1, 1, 8 * len(NAMES)).reshape(len(NAMES), 8)
    table = folder / 'table.pth'
    write_table(IdentityTable(rows.cos(), NAMES, 'x', 'test'), table)
    hook = dict(type='FrozenLUTHook', teacher=str(table))
    return cfg.model, dict(custom_hooks=[hook])


RUNS = {'oim with KD_det': oim, 'seqnet with KD_reid': seqnet}


def losses(name: str, folder: Path, lr: float = LR) -> dict[str, list[float]]:
    """Train.

    Args:
        name: In ``RUNS``.
        folder: Empty.
        lr: Learning rate.

    Returns:
        Name of a loss -> its value in each iteration; ``loss`` is the sum.
    """
    model, more = RUNS[name](folder)
    start = folder / 'start.pth'
    state = random_network(_plain(model), seed=1).state_dict()
    for key, factor in SPREAD.items():
        state[f'rpn_head.{key}'] *= factor
    torch.save(dict(state_dict=state), start)
    cfg = run_of(folder, model, names=NAMES, load_from=str(start), **more)
    cfg.train_dataloader.dataset = dict(type='GoldenData')
    cfg.train_cfg.max_epochs = STEPS // 4
    cfg.optim_wrapper.optimizer.lr = lr
    cfg.optim_wrapper.clip_grad = dict(max_norm=MAX_NORM)
    cfg.default_hooks.checkpoint.interval = STEPS
    scalars = toy.run(cfg).message_hub.log_scalars
    return {
        key.removeprefix('train/'): scalars[key].data[0].tolist()
        for key in sorted(scalars)
        if key.startswith('train/loss')
    }


def _plain(model: Config) -> Config:
    return Config({k: v for k, v in model.items() if k != 'distiller'})


def read() -> dict:
    """The kept losses: run -> loss -> values."""
    return json.loads(FILE.read_text())


def main() -> None:
    """Keep the losses of new runs; others only if it is asked for."""
    parser = argparse.ArgumentParser(
        prog='python -m tests.golden',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--replace',
        action='store_true',
        help='losses that are kept already; the commit says why',
    )
    args = parser.parse_args()
    kept = {} if args.replace else read()
    for name in RUNS.keys() - kept.keys():
        with tempfile.TemporaryDirectory() as folder:
            kept[name] = losses(name, Path(folder))
    lines = [f' {json.dumps(name)}: {json.dumps(kept[name])}' for name in RUNS]
    write_text(FILE, '{\n' + ',\n'.join(lines) + '\n}\n')


if __name__ == '__main__':
    main()
