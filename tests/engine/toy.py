"""A small training run with every kind of randomness, for these tests."""

import copy
import hashlib
import itertools
import json
import multiprocessing as mp
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS, HOOKS, METRICS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

import mmps.engine  # noqa: F401 - registers
import tests.quick_runs  # noqa: F401 - in its processes, too
from mmps.seeding import seed_all

#: Options of a run by the number of its data workers.
WORKERS = {
    'none': {},
    'two': {'train_dataloader.num_workers': 2},
    'two persistent': {
        'train_dataloader.num_workers': 2,
        'train_dataloader.persistent_workers': True,
    },
}
_NUMBER = itertools.count()  # mmengine wants a new name for each run


@DATASETS.register_module()
class ToyData(torch.utils.data.Dataset):
    """12 noisy vectors; follows the protocol of ``StatelessSeedHook``.

    Args:
        size: Number of samples.
        names: Of its people.
        seconds: That loading one takes.
    """

    def __init__(
        self,
        size: int = 12,
        names: tuple = ('a', 'b'),
        seconds: float = 0.0,
    ) -> None:
        names = list(names)
        self.metainfo = dict(identity_names=names, queries=(object(),))
        self.seed, self.size, self.seconds = 0, size, seconds
        self._epoch = mp.Value('i', 0)

    def set_epoch(self, epoch: int) -> None:
        self._epoch.value = epoch

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict:
        if self.seconds:
            time.sleep(self.seconds)
        seed_all(self.seed, self._epoch.value, index)
        noise = np.random.normal(size=4)  # noqa: NPY002
        sample = DetDataSample(metainfo={'img_path': f'img/{index}.jpg'})
        inputs = torch.tensor(noise, dtype=torch.float32) + index / self.size
        return dict(inputs=inputs, data_samples=sample)


@MODELS.register_module()
class ToyModel(BaseModel):
    """BatchNorm, dropout and two loss terms."""

    def __init__(
        self, width: int = 4, nan_at: str = '', smooth: bool = False
    ) -> None:
        super().__init__()
        norm = nn.Identity() if smooth else nn.BatchNorm1d(8)
        self.backbone = nn.Sequential(nn.Linear(4, 8), norm)
        drop = nn.Dropout(0.0 if smooth else 0.5)
        self.head = nn.Sequential(drop, nn.Linear(8, width))
        self.nan_at, self.calls = nan_at, 0  # 'rank:call'

    def forward(self, inputs, data_samples=None, mode='tensor'):
        x = torch.stack(inputs)
        out = self.head(self.backbone(x))
        if mode != 'loss':
            return list(out)
        losses = dict(
            loss_size=out.pow(2).mean(), loss_fit=(out - x).abs().mean()
        )
        self.calls += 1
        rank = torch.distributed.get_rank() if _distributed() else 0
        if self.nan_at == f'{rank}:{self.calls}':
            losses['loss_fit'] = losses['loss_fit'] * float('nan')
        return losses


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """The mAP of epoch e is values[e - 1]."""

    def __init__(self, values: list) -> None:
        super().__init__()
        self.values = values

    def process(self, data_batch, data_samples) -> None:
        self.results.append(0)

    def compute_metrics(self, results) -> dict:
        epoch = MessageHub.get_current_instance().get_info('epoch')
        return {'mAP': self.values[epoch]}


class Stop(Exception):
    """Instead of a kill: leaves the run at once."""


@HOOKS.register_module()
class StopHook(Hook):
    """Stops before an epoch (counted from 0), after it was saved."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def before_train_epoch(self, runner) -> None:
        if runner.epoch == self.epoch:
            raise Stop


@HOOKS.register_module()
class SignalHook(Hook):
    """Sends this process a signal at a stage, in its n-th iteration or time.

    Args:
        stage: Name of a hook's method.
        signum: The signal.
        at: ``batch_idx`` is not counted: calls of the stage are, from 1.
        times: Signals, as fast as they go.
        rank: The rank that gets it.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        stage: str = 'before_train_iter',
        signum: int = signal.SIGTERM,
        at: int = 1,
        times: int = 1,
        rank: int = 0,
    ) -> None:
        self.calls, self.at, self.times, self.rank = 0, at, times, rank
        self.signum = signum
        setattr(self, stage, self._send)

    def _send(self, runner, **kwargs) -> None:
        self.calls += 1
        if self.calls == self.at and get_rank() == self.rank:
            for _ in range(self.times):
                os.kill(os.getpid(), self.signum)


@HOOKS.register_module()
class FullDiskHook(Hook):
    """From epoch 2 on no file of rank 0 can be as large as a checkpoint."""

    def before_train_epoch(self, runner) -> None:
        if runner.epoch == 1 and get_rank() == 0:
            size = (Path(runner.work_dir) / 'epoch_1.pth').stat().st_size
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, hard))


def _distributed() -> bool:
    return torch.distributed.is_initialized()


def make_config(work_dir, **changes) -> Config:
    """The runtime that the configs use, around the toy."""
    cfg = dict(
        default_scope='mmdet',
        work_dir=str(work_dir),
        model=dict(type='ToyModel'),
        train_dataloader=dict(
            dataset=dict(type='ToyData'),
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_size=4,
            num_workers=0,
        ),
        train_cfg=dict(type='ResumableTrainLoop', max_epochs=3),
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
        ),
        param_scheduler=dict(type='MultiStepLR', milestones=[1], gamma=0.5),
        default_hooks=dict(
            checkpoint=dict(type='SafeCheckpointHook', interval=1),
            plain_checkpoint=dict(type='PlainCheckpointHook'),
            strict_load=dict(type='StrictLoadHook'),
            stateless_seed=dict(type='StatelessSeedHook'),
            nonfinite_loss=dict(type='NonFiniteLossHook'),
            batch_norm=dict(type='AverageBatchNormHook'),
            logger=dict(type='LoggerHook', interval=1000),
        ),
        randomness=dict(seed=3),
        log_level='WARNING',
        experiment_name=f'toy{next(_NUMBER)}',
    )
    cfg = Config(cfg)
    cfg.merge_from_dict(copy.deepcopy(changes))  # mmengine changes them
    return cfg


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    try:
        runner.train()
    finally:  # else workers of earlier runs slow down the later ones
        workers = runner.train_dataloader._iterator
        if workers is not None:
            workers._shutdown_workers()
    return runner


def train(work_dir, **changes) -> Runner:
    return run(make_config(work_dir, **changes))


def validation(values: list) -> dict:
    """Changes of a config: validate each epoch, with given results."""
    return dict(
        val_dataloader=dict(
            dataset=dict(type='ToyData', size=2),
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        val_cfg=dict(),
        val_evaluator=dict(type='ToyMetric', values=values),
    )


def history(checkpoint: Path) -> dict:
    """What a checkpoint has logged and knows of its run, but for times."""
    hub = torch.load(checkpoint)['message_hub']
    scalars = {
        key: (value['history'].tolist(), value['counts'].tolist())
        for key, value in hub['log_scalars'].items()
        if not key.endswith('time')
    }
    of_the_start = {'eta', 'cfg', 'experiment_name'}
    known = hub['runtime_info']
    info = {k: v for k, v in known.items() if k not in of_the_start}
    names = {k: Path(v).name for k, v in info.items() if k.endswith('_ckpt')}
    return dict(scalars=scalars, info={**info, **names})


def logged(work_dir: Path) -> list[dict]:
    """Lines of scalars.json of all starts, in order, but for times."""
    files = sorted(
        work_dir.glob('*/vis_data/scalars.json'),
        key=lambda file: file.stat().st_mtime_ns,
    )
    text = ''.join(file.read_text() for file in files)
    lines = [json.loads(line) for line in text.splitlines()]
    return [
        {k: v for k, v in line.items() if not k.endswith('time')}
        for line in lines
    ]


def fingerprint(runner: Runner) -> str:
    """SHA-256 of weights, buffers and momentum."""
    model = getattr(runner.model, 'module', runner.model)
    return fingerprint_of(
        dict(
            state_dict=model.state_dict(),
            optimizer=runner.optim_wrapper.state_dict(),
        )
    )


def fingerprint_of(checkpoint: dict) -> str:
    """The same of a file."""
    digest = hashlib.sha256()
    tensors = dict(checkpoint['state_dict'])
    for index, state in checkpoint['optimizer']['state'].items():
        tensors[f'momentum {index}'] = state['momentum_buffer']
    for key in sorted(tensors):
        digest.update(key.encode() + tensors[key].numpy().tobytes())
    return digest.hexdigest()
